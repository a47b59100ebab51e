import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { print } from '../../src/program/parse.ts';
import type { Op } from '../../src/program/types.ts';
import { WindowExecutor } from '../../src/program/window-execution.ts';

const text = fc
  .array(
    fc.string({ unit: fc.constantFrom('a', 'b', 'é', '日', ' ', '\u{1F33E}'), maxLength: 6 }),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map((lines) => lines.join('\n'));
const needle = fc.string({
  unit: fc.constantFrom('a', 'b', 'é', '日'),
  minLength: 1,
  maxLength: 2,
});
const proxOps = (target: fc.Arbitrary<string>): fc.Arbitrary<Op[]> =>
  fc.array(
    fc.oneof(
      fc.tuple(fc.nat(5), fc.nat(2)).map(
        ([start, more]): Op => ({
          op: 'remove_lines',
          lineStart: start,
          lineEnd: start + 1 + more,
        }),
      ),
      fc.tuple(needle, target).map(([source, to]): Op => ({ op: 'normalize', source, target: to })),
    ),
    { maxLength: 4 },
  );

function shifted(ops: readonly Op[], by: number): Op[] {
  return ops.map((op) =>
    op.op === 'remove_lines'
      ? { ...op, lineStart: op.lineStart + by, lineEnd: op.lineEnd + by }
      : op,
  );
}

function runAt(body: string, ops: readonly Op[], lineStart: number) {
  const lineEnd = lineStart + body.split('\n').length;
  const program = print(shifted(ops, lineStart), 'prox');
  const executor = new WindowExecutor({ maxErrors: 9 });
  return executor.run({ text: body, lineStart }, [{ lineStart, lineEnd, program }], 'prox');
}

/** The bytes that are not marked, without line feeds. */
function unmarked(body: string, removed: Uint8Array): string {
  const bytes = Buffer.from(body).filter((byte, at) => removed[at] === 0 && byte !== 10);
  return Buffer.from(bytes).toString();
}

describe('programs over windows', () => {
  it('mark exactly the bytes that are missing afterwards, for deletions', () => {
    fc.assert(
      fc.property(text, proxOps(fc.constant('')), fc.constantFrom(0, 3), (body, ops, lineStart) => {
        const judged = runAt(body, ops, lineStart);
        expect(unmarked(body, judged.removedBytes)).toBe(judged.text.replaceAll('\n', ''));
        expect(judged.adds).toBe(false);
      }),
      { numRuns: 400 },
    );
  });

  it('mark the lines that are gone: the others, with their deletions, are the text', () => {
    fc.assert(
      fc.property(text, proxOps(fc.constant('')), fc.constantFrom(0, 3), (body, ops, lineStart) => {
        const judged = runAt(body, ops, lineStart);
        if (judged.status === 'dropped') {
          expect([...judged.removedLines]).toEqual(body.split('\n').map(() => 1));
          return;
        }
        const kept = body.split('\n').filter((_, line) => judged.removedLines[line] === 0);
        expect(judged.text.split('\n')).toHaveLength(Math.max(1, kept.length));
        const removals = ops.filter(({ op }) => op === 'remove_lines');
        if (removals.length === ops.length) expect(judged.text).toBe(kept.join('\n'));
      }),
      { numRuns: 400 },
    );
  });

  it('mean the same wherever the window begins', () => {
    fc.assert(
      fc.property(
        text,
        proxOps(fc.constantFrom('', 'x', 'é')),
        fc.nat(40),
        (body, ops, lineStart) => {
          const [here, there] = [runAt(body, ops, 0), runAt(body, ops, lineStart)];
          expect(there.removedLines).toEqual(here.removedLines);
          expect(there.removedBytes).toEqual(here.removedBytes);
          // A window that loses all lines but holds no word is dropped only as a document of its own.
          if (there.status === here.status) expect(there.text).toBe(here.text);
          else expect([here.text.trim(), there.text.trim()]).toEqual(['', '']);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('remove of a replaced string what the replacement does not have, by whole characters', () => {
    const ops: Op[] = [{ op: 'normalize', source: 'xéb', target: 'xèb' }];
    const judged = runAt('aaxébc', ops, 2);
    expect(judged).toMatchObject({ text: 'aaxèbc', adds: true });
    expect(unmarked('aaxébc', judged.removedBytes)).toBe('aaxbc');
  });

  it('hold lines that are added and a window that grows as much as allowed', () => {
    const lines = { lineStart: 5, lineEnd: 7 };
    const program = "add_line(6, 1, 'new words')";
    const at = { text: 'one\ntwo', lineStart: 5 };
    const refused = new WindowExecutor().run(at, [{ ...lines, program }], 'ultrax');
    expect(refused).toMatchObject({ text: 'one\ntwo', status: 'kept' });
    for (const [maxGrowthRatio, grown] of [
      [2.4, false],
      [2.5, true],
    ] as const) {
      const executor = new WindowExecutor({ maxGrowthRatio });
      const judged = executor.run(at, [{ ...lines, program }], 'ultrax');
      expect([judged.text, judged.adds]).toEqual(
        grown ? ['one\nnew words\ntwo', true] : ['one\ntwo', false],
      );
      expect([...judged.removedBytes]).toEqual(new Array(7).fill(0));
    }
  });

  it('leave nothing of the last document behind when a window fails', () => {
    const executor = new WindowExecutor();
    const at = { text: 'a\nb', lineStart: 0 };
    const run = (program: string) =>
      executor.run(at, [{ lineStart: 0, lineEnd: 2, program }], 'prox');
    expect([...run('remove_lines(0, 0)').removedBytes]).toEqual([1, 1, 0]);
    const failed = run('nothing(1)\nmore(2)\nremove_lines(0, 0)');
    expect(failed).toMatchObject({ status: 'failed', text: 'a\nb' });
    expect([...failed.removedBytes, ...failed.removedLines]).toEqual([0, 0, 0, 0, 0]);
    expect(executor.run(at, [], 'prox').status).toBe('kept');
  });
});
