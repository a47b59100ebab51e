/** The inspector as a command, asked what its page asks, and held against the ledger. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const N_CLICKS = 60;

/** @returns what it took, and what was found */
export async function inspectRun(command, out, counts, hold) {
  const started = performance.now();
  const child = spawn(process.execPath, [command, 'inspect', out, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    const url = await new Promise((resolve, reject) => {
      child.stdout.once('data', (data) => resolve(JSON.parse(String(data)).url));
      child.once('exit', () => reject(new Error('inspect: it ended')));
    });
    const ask = async (path, body) => {
      const response = await fetch(`${url}api/${path}`, {
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
        headers: { origin: new URL(url).origin },
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`inspect: ${path}: ${response.status} ${text}`);
      return response.headers.get('content-disposition') ? text : JSON.parse(text);
    };
    hold((await (await fetch(url)).text()).includes('app.js'), 'inspect: no page');
    while ((await ask('query', {})).rows.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const opened = (performance.now() - started) / 1000;
    const openCpu = cpuOf(child);
    for (let version = -1, rests = false; !rests; ) {
      const state = await ask(`state?version=${version}`);
      ({ version } = state);
      ({ rests } = state.progress);
      hold(state.progress.failed.length === 0, 'inspect: a unit cannot be read');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await figures(ask, counts, hold);
    const clickMs = await clicks(ask, counts);
    await answers(ask, out, hold);
    const peakMb = peakOf(child);
    return {
      'wall s': Number(opened.toFixed(2)),
      'CPU s': openCpu,
      found: `median click ${clickMs.toFixed(0)} ms${peakMb === null ? '' : `, ${peakMb} MB`}`,
    };
  } finally {
    child.kill('SIGINT');
    await ended;
  }
}

/** Counts of the table, and of thresholds, are the ledger's. */
async function figures(ask, counts, hold) {
  const { total, facets } = await ask('query', {});
  hold(total === counts.rowsIn, `inspect: ${total} of ${counts.rowsIn} rows`);
  const sum = (bars) => bars.reduce((before, { count }) => before + count, 0);
  for (const status of ['kept', 'edited', 'dropped', 'failed']) {
    const { matched } = await ask('query', { status: [status] });
    hold(matched === counts[status], `inspect: ${matched} rows ${status}, ${counts[status]} are`);
  }
  hold(sum(facets.status) === total && sum(facets.reason) === total, 'inspect: bars');
  const edited = await ask('query', { status: ['edited'], sort: 'share', descending: true });
  hold(edited.rows[0].share > 0, 'inspect: no share of an edited document');
  const thresholds = await ask('thresholds');
  const { used } = thresholds.documents;
  const edge = thresholds.documents.thresholds.findIndex((one) => one >= used);
  const whatIf = await ask(`what-if?document=${edge + 1}&line=0`);
  hold(whatIf.dropped === counts.dropped, `inspect: what if drops ${whatIf.dropped}`);
}

/** Median of what clicks take. */
async function clicks(ask, counts) {
  const times = [];
  const kinds = [
    (at) => ask('query', { status: ['edited'], offset: at }),
    (at) => ask('query', { score: [at / 100, 0.9], sort: 'score' }),
    (at) => ask('query', { language: ['en'], sort: 'size', descending: true, offset: at }),
    (at) => ask(`document?unit=0&position=${(at * 31) % Math.min(50, counts.rowsIn)}`),
    (at) => ask(`what-if?document=${at % 20}&line=${at % 50}`),
  ];
  for (let at = 0; at < N_CLICKS; at++) {
    const started = performance.now();
    await kinds[at % kinds.length](at);
    times.push(performance.now() - started);
  }
  return times.sort((one, other) => one - other)[N_CLICKS / 2];
}

/** Words, blind questions, judgements, labels that go out and come back. */
async function answers(ask, out, hold) {
  const { rows } = await ask('query', { status: ['dropped'] });
  const [{ unit, position }] = rows;
  const document = await ask(`document?unit=${unit}&position=${position}`);
  hold(document.lines.length > 0 && document.missing === null, 'inspect: no text of a document');
  for (let searching = true; searching; ) {
    const found = await ask('query', { words: 'rights reserved' });
    ({ searching } = found);
    if (!searching) hold(found.matched > 0, 'inspect: no words were found');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const question = await ask('blind?what=lines&seed=1&item=0');
  hold(typeof question.text === 'string', 'inspect: no blind question');
  await ask('blind', { what: 'lines', seed: 1, item: 0, answer: 'go' });
  await ask('judge', { unit, position, verdict: 'should_stay' });
  const journal = join(out, '_judgements/judgements.jsonl');
  hold(existsSync(journal), 'inspect: no journal');
  const tasks = JSON.parse(await ask('export?form=label-studio&n=3'));
  const answered = tasks.map((task) => ({
    ...task,
    annotations: [{ result: [{ type: 'choices', value: { choices: ['keep'] } }] }],
  }));
  const { taken } = await ask('labels', answered);
  hold(taken === tasks.length && taken > 0, `inspect: ${taken} of ${tasks.length} labels`);
}

/** CPU seconds so far, and the peak of its memory in MB; null where there is no /proc. */
function cpuOf({ pid }) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return null;
  }
}

function peakOf({ pid }) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)[1]) / 1000);
  } catch {
    return null;
  }
}
