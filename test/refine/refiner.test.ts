import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBatch } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { openRefiner, type Refiner, type StreamedRows } from '../../src/refine/refiner.ts';

const PAGE = `Home | Recipes | About us | Contact
We use cookies to give you the best experience. Accept all
Why oil floats on water
Oil and water do not mix, and when they are shaken together the oil soon rises to the top again.
The reason is density: a litre of olive oil weighs about 910 grams, a litre of water about 1,000 grams.
Water molecules also attract one another more strongly than they attract oil, which keeps the two apart.
An emulsifier such as egg yolk holds the droplets in place; that is how mayonnaise is made.
Share on Facebook | Tweet | Pin it
© 2024 Example Kitchen. All rights reserved.`;
const text = (index: number): string =>
  `A text about oil and water that is number ${index}: it says what floats and why it does.\n`.repeat(
    8,
  );
/** Long enough that an engine takes seconds for it. */
const LONG = Array.from({ length: 30_000 }, (_, index) => text(index)).join('');

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

let refiner: Refiner;
beforeAll(async () => {
  // As the example of docs/api.md: at the default the model is not sure enough of so short a page.
  refiner = await openRefiner({ threads: 1, retention: 0.95 });
});
afterAll(() => refiner.dispose());

const children = (): string[] =>
  readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean);

describe('openRefiner', () => {
  // Engines had processes of their own, into which every text was copied.
  it.skipIf(process.platform !== 'linux')('starts no process', async () => {
    const before = children().length;
    await using own = await openRefiner({ threads: 1 });
    await own.refine([PAGE]);
    expect(children().length).toBe(before);
    expect(own.models.map((model) => 'kind' in model && model.kind)).toEqual([
      'document-score',
      'line-score',
    ]);
    await using same = await openRefiner({ threads: 1, isolate: false });
    expect(await same.refine([PAGE])).toEqual(await own.refine([PAGE]));
  });

  it('refuses what is no option, and values that an option cannot have', async () => {
    for (const [options, message] of [
      [{ retension: 0.5 }, /retension: .*openRefiner \(did you mean retention\?\), received 0.5/],
      [{ retention: 5 }, /retention: expected a number in 0..1, received 5/],
      [{ retention: '0.5' }, /retention: expected a number in 0..1, received "0.5"/],
      [{ execute: { maxErors: 1 } }, /execute.maxErors: .*did you mean maxErrors/],
      [{ execute: { dialect: 'prox' } }, /execute.dialect/],
      [{ stages: 'chunk' }, /stages: expected an array of at least 1, each one of document, chunk/],
      [{ stages: [] }, /stages/],
      [{ threads: Number.NaN }, /threads: expected a whole number in 1..512, received NaN/],
      [{ isolate: true }, /isolate: expected false or nothing.*refineCorpus.*, received true/],
      [{ documentModel: Symbol('x') }, /documentModel: expected a string/],
      ['options', /an object of options/],
      [null, /an object of options/],
      [[], /an object of options/],
    ] as const) {
      await expect(openRefiner(options as never)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        message: expect.stringMatching(message),
      });
    }
  });
});

describe('refine', () => {
  it('refines texts in order', async () => {
    const [page, prose] = await refiner.refine([PAGE, text(1)]);
    expect(page).toMatchObject({
      status: 'edited',
      text: expect.stringContaining('Why oil floats'),
    });
    expect(page!.text).not.toContain('Contact');
    expect(prose).toMatchObject({ status: 'kept', text: text(1) });
    expect(await refiner.refine([])).toEqual([]);
  });

  // Null was a TypeError of the internals; half a surrogate pair came back as U+FFFD in a text that was "kept".
  it('fails rows without a text and rows that have no UTF-8, and leaves them as they are', async () => {
    const half = `${text(2)}half \ud83d pair`;
    // biome-ignore lint/suspicious/noSparseArray: a hole is what callers may have
    const texts = [null, text(2), undefined, half, , ''];
    const refined = await refiner.refine(texts);
    expect(refined.map(({ status, reason }) => [status, reason])).toEqual([
      ['failed', 'null_text'],
      ['kept', expect.any(String)],
      ['failed', 'null_text'],
      ['failed', 'invalid_utf8'],
      ['failed', 'null_text'],
      [expect.any(String), expect.any(String)],
    ]);
    expect(refined.map((document) => document.text)).toEqual(['', text(2), '', half, '', '']);
    expect(refined[0]).toMatchObject({ program: null, score: null, ops: [] });
  });

  it('refuses what is no text, by its place', async () => {
    for (const [texts, message] of [
      ['a string', /texts: expected an array of strings.*received "a string"/],
      [undefined, /texts: expected an array/],
      [{ length: 1 }, /texts: expected an array/],
      [['a', 1], /texts\[1\]: expected a string, or null.*received 1/],
      [[Buffer.from('x')], /texts\[0\]: .*received Buffer/],
      [['a', 'b', {}], /texts\[2\]/],
      [[Promise.resolve('x')], /texts\[0\]: .*a promise/],
    ] as const) {
      await expect(refiner.refine(texts as never)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
        message: expect.stringMatching(message),
      });
    }
    for (const options of [{ sginal: 1 }, { signal: 1 }, { signal: null }]) {
      await expect(refiner.refine(['x'], options as never)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
      });
    }
  });

  // It was rejected when the engine had finished: 23 s behind the signal for a text of 400 KB.
  it('rejects at once when its signal fires, and stays usable', async () => {
    const reason = new Error('the client has gone');
    const controller = new AbortController();
    const refining = refiner.refine([LONG, LONG], { signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const since = performance.now();
    controller.abort(reason);
    await expect(refining).rejects.toMatchObject({
      name: 'AbortError',
      code: 'ABORTED',
      cause: reason,
    });
    expect(performance.now() - since).toBeLessThan(500);
    expect((await refiner.refine([PAGE]))[0]!.status).toBe('edited');
    await expect(
      refiner.refine(['x'], { signal: AbortSignal.abort(reason) }),
    ).rejects.toMatchObject({ name: 'AbortError', cause: reason });
  });

  it('gives the memory of dropped work back', async () => {
    await using small = await openRefiner({ threads: 1, slabBytes: 2 ** 20, nSlabs: 2 });
    for (let round = 0; round < 4; round++) {
      const signal = AbortSignal.timeout(30);
      const refining = small.refine(Array(40).fill(text(round)), { signal });
      await refining.catch((error: Error) => expect(error.name).toBe('AbortError'));
    }
    expect(await small.refine([text(1)])).toHaveLength(1);
  });

  it('rejects with DISPOSED when the refiner is disposed under it', async () => {
    const own = await openRefiner({ threads: 1 });
    // More than is done by then, whatever the machine: one such text takes a tenth of a second.
    const refining = own.refine(Array(20).fill(LONG));
    refining.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await own.dispose();
    await expect(refining).rejects.toMatchObject({ code: 'DISPOSED' });
    await expect(own.refine(['x'])).rejects.toMatchObject({ code: 'DISPOSED' });
    await own.dispose();
  });
});

describe('stream', () => {
  async function* batches(nBatches: number, repeats = 8) {
    for (let batch = 0; batch < nBatches; batch++) {
      yield Array.from({ length: 4 }, (_, row) => text(4 * batch + row).repeat(repeats));
    }
  }
  const decode = (bytes: Uint8Array | null | undefined): string => new TextDecoder().decode(bytes!);

  // With two slabs of 1 MiB it hung for ever, and said nothing.
  it('comes to its end when nothing is released, and leaves a refiner that works', async () => {
    await using small = await openRefiner({ threads: 1, slabBytes: 2 ** 16, nSlabs: 2 });
    let nRows = 0;
    for await (const rows of small.stream(batches(12))) nRows += rows.status.length;
    expect(nRows).toBe(48);
    const kept: StreamedRows[] = [];
    for await (const rows of small.stream(batches(6))) {
      rows.keep();
      kept.push(rows);
    }
    for (const [batch, rows] of kept.entries()) {
      expect(decode(rows.texts[3])).toBe(text(4 * batch + 3).repeat(8));
      rows.release();
      expect(() => rows.texts).toThrow('was used after dispose()');
    }
    expect(await small.refine([text(0)])).toHaveLength(1);
  });

  it('leaves a result valid until the third next one is asked for', async () => {
    const results: StreamedRows[] = [];
    for await (const rows of refiner.stream(batches(4, 1))) results.push(rows);
    // The end of the stream was asked for, too.
    for (const rows of results.slice(0, 2)) {
      expect(() => rows.texts).toThrow('was used after dispose()');
    }
    for (const batch of [2, 3]) expect(decode(results[batch]!.texts[0])).toBe(text(4 * batch));
    for (const rows of results) rows.release();
  });

  it('takes batches of the caller, which stay theirs, and arrays of batches', async () => {
    const slabs = new SlabPool();
    const batch = await buildBatch(slabs, { text: [new TextEncoder().encode(text(0)), null] });
    for await (const rows of refiner.stream([batch, [text(1), null]])) {
      expect(rows.reason[1]).toBe('null_text');
      rows.release();
    }
    expect(decode(batch.text.data.subarray(0, 12))).toBe('A text about');
    batch.release();
  });

  it('rejects at once when its signal fires, in the source too', async () => {
    const controller = new AbortController();
    let closed = false;
    async function* stuck() {
      try {
        yield [text(0)];
        await new Promise(() => undefined);
      } finally {
        closed = true;
      }
    }
    const results = refiner.stream(stuck(), { signal: controller.signal });
    (await results.next()).value!.release();
    const next = results.next();
    setTimeout(() => controller.abort('enough'), 20);
    await expect(next).rejects.toMatchObject({ name: 'AbortError', cause: 'enough' });
    expect(closed).toBe(false);
  });

  it('passes on what its source throws, and names batches that are none', async () => {
    async function* failing() {
      yield [text(0)];
      throw new Error('my source failed');
    }
    let nResults = 0;
    const read = async (source: unknown): Promise<void> => {
      for await (const rows of refiner.stream(source as never)) {
        nResults++;
        rows.release();
      }
    };
    await expect(read(failing())).rejects.toThrow('my source failed');
    expect(nResults).toBe(1);
    await expect(read([['x'], ['a', 3]])).rejects.toThrow('batch 1[1]: expected a string');
    await expect(read(['text'])).rejects.toThrow('batches: expected batches or arrays of texts');
    await expect(read('text')).rejects.toThrow('batches: expected an iterable');
    await expect(read(undefined)).rejects.toThrow('batches: expected an iterable');
  });
});

describe('refineRows', () => {
  const rows = (n: number) =>
    Array.from({ length: n }, (_, id) => ({ id, body: id % 7 === 3 ? null : text(id) }));

  it('gives every row with its outcome, in order, whatever holds the rows', async () => {
    async function* source() {
      yield* rows(300);
    }
    const expected = await refiner.refine(rows(300).map(({ body }) => body));
    const refined = await collect(refiner.refineRows(source(), { text: ({ body }) => body }));
    expect(refined.map(({ row }) => row.id)).toEqual(rows(300).map(({ id }) => id));
    expect(refined.map(({ row: _, ...document }) => document)).toEqual(expected);
    const byName = await collect(refiner.refineRows(rows(3), { text: 'body' }));
    expect(byName.map((document) => document.text)).toEqual(rows(3).map(({ body }) => body));
    const plain = await collect(refiner.refineRows(new Set([PAGE, null, text(2)])));
    expect(plain.map(({ row, status }) => [row, status])).toEqual([
      [PAGE, 'edited'],
      [null, 'failed'],
      [text(2), 'kept'],
    ]);
    const objects = await collect(refiner.refineRows([{ text: PAGE, url: 'x' }]));
    expect(objects[0]).toMatchObject({ row: { url: 'x', text: PAGE }, status: 'edited' });
  });

  it('takes rows as they are needed, and closes the source of who stops early', async () => {
    let pulled = 0;
    let closed = false;
    function* source() {
      try {
        for (;;) yield text(pulled++);
      } finally {
        closed = true;
      }
    }
    for await (const { row } of refiner.refineRows(source())) {
      expect(row).toBe(text(0));
      break;
    }
    expect(closed).toBe(true);
    expect(pulled).toBeLessThanOrEqual(6 * 256);
  });

  it('does not wait for a source that gives nothing for a while', async () => {
    let closed = false;
    async function* slow() {
      try {
        yield text(0);
        yield text(1);
        await new Promise(() => undefined);
      } finally {
        closed = true;
      }
    }
    const seen: string[] = [];
    for await (const { row } of refiner.refineRows(slow())) {
      seen.push(row);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([text(0), text(1)]);
    // It waits for ever and cannot be told so; nobody waits with it.
    expect(closed).toBe(false);
  });

  it('passes on what the source or the callback throws, behind the rows before it', async () => {
    const seen: number[] = [];
    const read = async (text: (row: { id: number }) => unknown): Promise<void> => {
      seen.length = 0;
      const refined = refiner.refineRows(rows(9), { text: text as () => string });
      for await (const { row } of refined) seen.push(row.id);
    };
    const fault = new TypeError('my callback failed');
    await expect(
      read(({ id }) => {
        if (id === 5) throw fault;
        return text(id);
      }),
    ).rejects.toBe(fault);
    expect(seen).toEqual([0, 1, 2, 3, 4]);
    await expect(read(({ id }) => (id === 4 ? id : 'x'))).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringMatching(/text of row 4: expected a string, or null.*received 4/),
    });
    await expect(read(() => Promise.resolve('x'))).rejects.toThrow('received a promise');
    await expect(collect(refiner.refineRows([{ body: 'x' }]))).rejects.toThrow(
      /text: expected a property of row 0/,
    );
    await expect(collect(refiner.refineRows(['x'], { txt: 'body' } as never))).rejects.toThrow(
      'did you mean text?',
    );
    await expect(collect(refiner.refineRows(7 as never))).rejects.toThrow(
      'rows: expected an iterable',
    );
  });

  it('rejects at once when its signal fires', async () => {
    const controller = new AbortController();
    const refining = refiner.refineRows([LONG], { signal: controller.signal }).next();
    setTimeout(() => controller.abort(), 200);
    await expect(refining).rejects.toMatchObject({ name: 'AbortError', code: 'ABORTED' });
  });
});
