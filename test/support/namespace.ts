/** Networks of processes of their own, for tests that pull a cable: by `ip`, where that may be done. */
import { execFileSync } from 'node:child_process';

/** A namespace with a network of its own and a cable to ours; null where none can be made. */
export function networkOfItsOwn() {
  const name = `gm${process.pid}`;
  const [host, guest] = [`${name}a`, `${name}b`];
  const third = 100 + (process.pid % 100);
  const [address, other] = [`10.213.${third}.1`, `10.213.${third}.2`];
  const ip = (...args: string[]): void => {
    execFileSync('ip', args, { stdio: 'ignore' });
  };
  const remove = (): void => {
    for (const args of [
      ['link', 'del', host],
      ['netns', 'del', name],
    ]) {
      try {
        ip(...args);
      } catch {
        // It was not made.
      }
    }
  };
  if (process.platform !== 'linux') return null;
  try {
    ip('netns', 'add', name);
    ip('link', 'add', host, 'type', 'veth', 'peer', 'name', guest, 'netns', name);
    ip('addr', 'add', `${address}/30`, 'dev', host);
    ip('link', 'set', host, 'up');
    ip('-n', name, 'addr', 'add', `${other}/30`, 'dev', guest);
    ip('-n', name, 'link', 'set', guest, 'up');
    ip('-n', name, 'link', 'set', 'lo', 'up');
  } catch {
    remove();
    return null;
  }
  const set = (state: 'up' | 'down'): void => ip('-n', name, 'link', 'set', guest, state);
  return { inside: ['ip', 'netns', 'exec', name], address, set, remove };
}
