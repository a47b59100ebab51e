/** `gristmill execute`: order, windows, coded errors, back-pressure. */
import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { executeCommand } from '../../src/cli/commands/execute.ts';
import { executeLines } from '../../src/cli/execute.ts';

const FLAGS = { dialect: 'prox', executor: 'strict' } as const;

async function run(chunks: readonly (string | Buffer)[], flags = {}): Promise<unknown[]> {
  const output = new PassThrough();
  const received: Buffer[] = [];
  output.on('data', (chunk: Buffer) => received.push(chunk));
  async function* input() {
    yield* chunks;
  }
  await executeLines({ ...FLAGS, ...flags }, { input: input(), output });
  const lines = Buffer.concat(received).toString('utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}

test('one line per case, in order, "" when dropped', async () => {
  const cases = [
    { text: 'a\nb c', program: 'remove_lines(0, 0)' },
    { text: 'a b', program: 'drop_doc()' },
    { text: 'a b', program: 'keep_doc()' },
    { text: 'm\na b', program: [{ lineStart: 0, lineEnd: 1, program: 'drop_chunk()' }] },
  ];
  expect(await run([cases.map((one) => JSON.stringify(one)).join('\n')])).toEqual([
    { text: 'b c', status: 'edited', reason: 'edited' },
    { text: '', status: 'dropped', reason: 'drop_doc' },
    { text: 'a b', status: 'kept', reason: 'keep' },
    { text: 'a b', status: 'edited', reason: 'edited' },
  ]);
});

test('characters and lines may lie across chunks', async () => {
  const bytes = Buffer.from(`${JSON.stringify({ text: '页面\u2028x', program: '' })}\n\n`);
  const chunks = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  expect(await run(chunks)).toEqual([
    { text: '页面\u2028x', status: 'kept', reason: 'no_program' },
  ]);
});

test('--ops adds the op records, --executor compat is the published one', async () => {
  const line = JSON.stringify({ text: 'a\nb c', program: 'remove_lines(0, 0)' });
  const [withOps] = await run([line], { ops: true });
  expect(withOps).toMatchObject({ ops: [{ op: 'remove_lines', count: 1 }] });
  const [compat] = await run([line], { executor: 'compat' });
  expect(compat).toEqual({ text: '', status: 'dropped', reason: 'too_few_words' });
});

test.each([
  ['{', 'a JSON object'],
  ['null', 'a JSON object'],
  ['{"program":""}', '"text"'],
  ['{"text":"a","program":1}', '"program"'],
  ['{"text":"a","program":[{}]}', '"program"'],
])('%s is refused with its line number', async (line, expected) => {
  const running = run([`{"text":"a","program":""}\n${line}\n`]);
  await expect(running).rejects.toMatchObject({
    code: 'PROGRAM_CASE_INVALID',
    message: expect.stringMatching(/^line 2: /),
  });
  await expect(running).rejects.toThrow(expected);
});

test('a slow reader stops the reading', async () => {
  let nRead = 0;
  async function* input() {
    for (; nRead < 1000; nRead++)
      yield `${JSON.stringify({ text: 'x'.repeat(1000), program: '' })}\n`;
  }
  let release = (): void => undefined;
  const output = new Writable({
    highWaterMark: 4000,
    write(_chunk, _encoding, done) {
      release = done;
    },
  });
  const running = executeLines(FLAGS, { input: input(), output });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(nRead).toBeLessThan(10);
  const pump = setInterval(() => release(), 0);
  await running;
  clearInterval(pump);
  expect(nRead).toBe(1000);
});

test('the command knows its options', () => {
  const command = executeCommand();
  expect(command.name()).toBe('execute');
  expect(command.options.map((option) => option.long)).toEqual([
    '--dialect',
    '--executor',
    '--ops',
  ]);
});
