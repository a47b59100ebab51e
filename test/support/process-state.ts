/**
 * What a process that does not move is at, as Linux and Node tell it: its threads and what each waits for in the kernel, its
 * connections, and, of a process that was started with {@link reportVariables}, its JavaScript stack and what its loop waits
 * for. For the words of a test that waited in vain; nothing here decides whether one passes.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from './bounded.ts';

const REPORT_MS = 3_000;
const LOOK_MS = 50;
/** Threads of a pool all wait for the same. */
const MAX_THREADS = 12;
const MAX_HANDLES = 40;
/** States of a connection as /proc/net/tcp has them, from 1. */
const TCP_STATES =
  'ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING'.split(
    ' ',
  );

/** Variables by which a process of Node, and its children, write a report into a folder when they are asked. */
export function reportVariables(folder: string): Record<string, string> {
  const flags = `--report-on-signal --report-signal=SIGUSR2 --report-directory=${folder}`;
  return { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} ${flags}`.trim() };
}

/**
 * Of a group of processes.
 *
 * @param group whose leader has this id
 * @param folder of {@link reportVariables}
 */
export async function stateOfGroup(group: number, folder: string): Promise<string> {
  if (process.platform !== 'linux') return '';
  const ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && groupOf(name) === group);
  const states = await Promise.all(ids.map((id) => stateOf(Number(id), folder)));
  return states.join('');
}

async function stateOf(pid: number, folder: string): Promise<string> {
  const command = read(pid, 'cmdline').split('\0').slice(0, 4).join(' ');
  const state = fieldOf(read(pid, 'status'), 'State');
  // One that is stopped writes nothing.
  const report = state.startsWith('T') ? ['  stopped'] : await reportOf(pid, folder);
  const parts = [`process ${pid}: ${state}: ${command}`, ...threadsOf(pid), ...socketsOf(pid)];
  return [...parts, ...report].map((line) => `    ${line}\n`).join('');
}

function threadsOf(pid: number): string[] {
  const lines = new Map<string, number>();
  for (const id of namesIn(`/proc/${pid}/task`)) {
    const of = (name: string): string => read(pid, `task/${id}/${name}`).trim();
    const stack = of('stack').split('\n').slice(0, 3);
    const frames = stack.map((frame) => frame.replace(/^\[<0>\] |\+0x.*$/g, '')).join(' < ');
    const call = of('syscall').split(' ')[0];
    const state = fieldOf(of('status'), 'State').slice(0, 1);
    const line = `  thread ${of('comm')}: ${state}, call ${call}, ${of('wchan')}, ${frames}`;
    lines.set(line, (lines.get(line) ?? 0) + 1);
  }
  return [...lines].slice(0, MAX_THREADS).map(([line, count]) => `${line} (${count})`);
}

/** Connections of the network that the process is in. */
function socketsOf(pid: number): string[] {
  const inodes = new Set<string>();
  for (const fd of namesIn(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // It was closed.
    }
  }
  const lines: string[] = [];
  for (const line of read(pid, 'net/tcp').split('\n').slice(1)) {
    const [, local, remote, state, queues, timer, resent, , , inode] = line.trim().split(/\s+/);
    if (!inode || !inodes.has(inode)) continue;
    const name = TCP_STATES[Number.parseInt(state!, 16) - 1] ?? state;
    const ports = `${portOf(local!)} to ${portOf(remote!)}`;
    lines.push(
      `  socket ${ports} ${name}, unsent:unread ${queues}, timer ${timer}, again ${resent}`,
    );
  }
  return lines;
}

/** What Node says of itself, a line each. */
async function reportOf(pid: number, folder: string): Promise<string[]> {
  const catches = Number.parseInt(fieldOf(read(pid, 'status'), 'SigCgt').slice(-4), 16);
  // Without a handler the signal would end it.
  if (!((catches >> 11) & 1)) return ['  no report: it was not started for one'];
  const before = new Set(namesIn(folder));
  process.kill(pid, 'SIGUSR2');
  for (let waitedMs = 0; waitedMs < REPORT_MS; waitedMs += LOOK_MS) {
    await sleep(LOOK_MS);
    const name = namesIn(folder).find((each) => each.includes(`.${pid}.`) && !before.has(each));
    if (name === undefined) continue;
    try {
      return linesOf(JSON.parse(readFileSync(join(folder, name), 'utf8')) as NodeReport);
    } catch {
      // It is being written.
    }
  }
  return ['  no report: its main thread does not answer'];
}

interface NodeReport {
  readonly javascriptStack?: { readonly message?: string; readonly stack?: readonly string[] };
  readonly libuv: readonly {
    readonly type: string;
    readonly is_active?: boolean;
    readonly is_referenced?: boolean;
    readonly firesInMsFromNow?: number;
    readonly localEndpoint?: { readonly port: number } | null;
    readonly remoteEndpoint?: { readonly port: number } | null;
    readonly writeQueueSize?: number;
    readonly pid?: number;
  }[];
}

function linesOf({ javascriptStack, libuv }: NodeReport): string[] {
  const { message = '', stack = [] } = javascriptStack ?? {};
  const handles = libuv
    .filter((handle) => handle.is_active && handle.is_referenced)
    .map(({ type, firesInMsFromNow, localEndpoint, remoteEndpoint, writeQueueSize, pid }) => {
      const facts = { firesInMsFromNow, pid, writeQueueSize };
      const ports = localEndpoint && `${localEndpoint.port} to ${remoteEndpoint?.port}`;
      return `  handle ${type} ${JSON.stringify({ ...facts, ...(ports && { ports }) })}`;
    });
  return [`  JavaScript: ${[message, ...stack].join(' < ')}`, ...handles.slice(0, MAX_HANDLES)];
}

function groupOf(pid: string): number {
  // The name in brackets may hold anything.
  const rest = read(Number(pid), 'stat').split(') ').at(-1)!;
  return Number(rest.split(' ')[2]);
}

function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

function namesIn(folder: string): string[] {
  try {
    return existsSync(folder) ? readdirSync(folder) : [];
  } catch {
    return [];
  }
}

function fieldOf(text: string, name: string): string {
  return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '?';
}

function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}
