/**
 * One unit of a run becomes a block of the index. Two steps, as they cost differently:
 *
 *  1. {@link indexUnit} reads the narrow columns of the unit's parts: statuses, reasons, scores, domains, languages.
 *  2. {@link sizeUnit} reads texts, for their lengths alone: as they came (a column of the run, or the input, where it is
 *     there and is what it was) and as they were written. What cannot be told stays unknown.
 */
import { fingerprintOf } from '../corpus/inputs.ts';
import { NarrowColumns } from '../corpus/narrow-columns.ts';
import { inputRange } from '../corpus/unit-files.ts';
import type { FinishedRun } from '../refine/finished-run.ts';
import type { UnitFile } from '../refine/unit-record.ts';
import { ByteNumbers } from './byte-numbers.ts';
import {
  blockOver,
  type IndexBlock,
  MAX_STEP,
  NameBook,
  NONE_8,
  NONE_16,
  OTHER_8,
  OTHER_16,
  type OutcomeKind,
  sizeStepOf,
  stepOf,
} from './index-block.ts';

/** Names that all blocks share, while they grow. */
export class IndexBooks {
  readonly outcomes: OutcomeKind[];
  readonly domains: NameBook;
  readonly languages: NameBook;
  readonly #outcomes = new Map<string, number>();

  constructor(
    names: {
      readonly outcomes: readonly OutcomeKind[];
      readonly domains: readonly string[];
      readonly languages: readonly string[];
    } = { outcomes: [], domains: [], languages: [] },
  ) {
    this.outcomes = [...names.outcomes];
    for (const [at, kind] of this.outcomes.entries()) this.#outcomes.set(keyOf(kind), at);
    this.domains = new NameBook(names.domains, OTHER_16);
    this.languages = new NameBook(names.languages, OTHER_8);
  }

  outcomeOf(kind: OutcomeKind): number {
    const key = keyOf(kind);
    const known = this.#outcomes.get(key);
    if (known !== undefined) return known;
    // Reasons are codes of ours, a few dozen; a damaged part may hold anything.
    if (this.outcomes.length >= NONE_8) return NONE_8 - 1;
    const number = this.outcomes.length;
    this.outcomes.push(kind);
    this.#outcomes.set(key, number);
    return number;
  }
}

function keyOf({ status, reason, part }: OutcomeKind): string {
  return `${part} ${status} ${reason}`;
}

const STATUS_NAMES: readonly OutcomeKind['status'][] = ['kept', 'edited', 'dropped', 'failed'];
const EDITED = STATUS_NAMES.indexOf('edited');
const NOTHING = new Uint8Array(0);
/** Columns that say where a text is from, the better one first. */
const DOMAIN_COLUMNS = ['domain', 'host', 'url'] as const;
const LANGUAGE_COLUMNS = ['language', 'lang'] as const;
const SOURCE_COLUMNS: readonly string[] = [...DOMAIN_COLUMNS, ...LANGUAGE_COLUMNS];

/** Whether a part is one that {@link indexUnit} reads by columns. */
export function isParquet(path: string): boolean {
  return path.endsWith('.parquet');
}

/** Where the rows of a unit's parts are in the unit, each in the order of its file. */
export async function positionsOf(run: FinishedRun, unit: number) {
  const { dropped, rejected } = await run.layout(unit);
  const { rowsIn } = run.unit(unit).counts;
  const isTaken = new Uint8Array(rowsIn);
  for (const position of dropped) isTaken[position] = 1;
  for (const position of rejected) isTaken[position] = 1;
  const staying = new Int32Array(run.part(unit, 'staying')?.rows ?? 0);
  let next = 0;
  for (let position = 0; position < rowsIn; position++) {
    if (isTaken[position] === 0) staying[next++] = position;
  }
  return { staying, dropped, rejected, isTaken };
}

/** Step 1. @throws CORPUS_* for parts that are gone or damaged */
export async function indexUnit(
  run: FinishedRun,
  unit: number,
  books: IndexBooks,
): Promise<IndexBlock> {
  const block = blockOver(unit, run.unit(unit).counts.rowsIn);
  const staying = run.part(unit, 'staying');
  if (staying && !isParquet(staying.path)) {
    await indexRows(run, unit, block, books);
    return block;
  }
  const { dropped, rejected, ...positions } = await positionsOf(run, unit);
  if (staying) await indexStaying(run, staying, positions.staying, block, books);
  const droppedFile = run.part(unit, 'dropped');
  if (droppedFile && droppedFile.rows > 0) {
    const prefix = (run.identity.options['statusPrefix'] as string | undefined) ?? '';
    const [reason, score] = [`${prefix}reason`, `${prefix}score`];
    await using part = await openPart(run, droppedFile, [reason, score]);
    const numbers = new ByteNumbers((value) =>
      books.outcomeOf({ status: 'dropped', reason: value, part: 'dropped' }),
    );
    await eachNumber(part, reason, numbers, (row, number) => {
      block.outcome[dropped[row]!] = number ?? numbers.numberOf(NOTHING, 0, 0);
    });
    const scores = await part.numbers(score);
    for (const [row, position] of dropped.entries()) {
      block.score[position] = stepOf(scores?.[row] ?? null);
      block.share[position] = MAX_STEP;
    }
  }
  const rejectedFile = run.part(unit, 'rejected');
  if (rejectedFile && rejectedFile.rows > 0) {
    await using part = await openPart(run, rejectedFile, ['reason']);
    const numbers = new ByteNumbers((reason) =>
      books.outcomeOf({ status: 'failed', reason, part: 'rejected' }),
    );
    await eachNumber(part, 'reason', numbers, (row, number) => {
      block.outcome[rejected[row]!] = number ?? numbers.numberOf(NOTHING, 0, 0);
    });
  }
  return block;
}

/** Opens a file of a run for some of its columns. */
export function openPart(
  run: FinishedRun,
  file: UnitFile,
  columns: readonly string[],
): Promise<NarrowColumns> {
  return NarrowColumns.open(run.pathOf(file), columns, { fingerprint: file.sha256 });
}

async function indexStaying(
  run: FinishedRun,
  file: UnitFile,
  positions: Int32Array,
  block: IndexBlock,
  books: IndexBooks,
): Promise<void> {
  const { status, reason, score } = run.columns;
  await using part = await openPart(run, file, [status, reason, score, ...SOURCE_COLUMNS]);
  const statuses = new Uint8Array(part.nRows);
  const statusNumbers = new ByteNumbers((name) =>
    Math.max(0, (STATUS_NAMES as readonly string[]).indexOf(name)),
  );
  await eachNumber(part, status, statusNumbers, (row, number) => {
    statuses[row] = number ?? STATUS_NAMES.indexOf('failed');
  });
  // A reason's outcomes by status, made when a row has both.
  const reasons: string[] = [''];
  const reasonNumbers = new ByteNumbers((name) => reasons.push(name) - 1);
  const outcomes: (number | undefined)[] = [];
  await eachNumber(part, reason, reasonNumbers, (row, number) => {
    const key = (number ?? 0) * STATUS_NAMES.length + statuses[row]!;
    outcomes[key] ??= books.outcomeOf({
      status: STATUS_NAMES[statuses[row]!]!,
      reason: reasons[number ?? 0]!,
      part: 'staying',
    });
    block.outcome[positions[row]!] = outcomes[key];
    // An edited row's share needs its texts.
    if (statuses[row] !== EDITED) block.share[positions[row]!] = 0;
  });
  const scores = await part.numbers(score);
  if (scores) {
    for (const [row, position] of positions.entries()) block.score[position] = stepOf(scores[row]!);
  }
  await indexSources(part, positions, block, books);
}

/**
 * Domains and languages, from the columns that a file has of its own.
 *
 * @param positions where each row of the file is in the unit; -1 for those that are passed over
 */
async function indexSources(
  part: NarrowColumns,
  positions: Int32Array,
  block: IndexBlock,
  books: IndexBooks,
): Promise<void> {
  const domain = DOMAIN_COLUMNS.find((name) => part.hasText(name));
  if (domain !== undefined) {
    const numbers = new ByteNumbers((text) => {
      const name = domain === 'url' ? hostOf(text) : text.trim().toLowerCase();
      return name === '' ? NONE_16 : books.domains.numberOf(name.slice(0, 100));
    });
    await eachNumber(part, domain, numbers, (row, number) => {
      const position = positions[row] ?? -1;
      if (number !== null && position >= 0) block.domain[position] = number;
    });
  }
  const language = LANGUAGE_COLUMNS.find((name) => part.hasText(name));
  if (language === undefined) return;
  const numbers = new ByteNumbers((text) =>
    text.trim() === '' ? NONE_8 : books.languages.numberOf(text.trim().slice(0, 40)),
  );
  await eachNumber(part, language, numbers, (row, number) => {
    const position = positions[row] ?? -1;
    if (number !== null && position >= 0) block.language[position] = number;
  });
}

/** Parts of JSON lines: row by row. */
async function indexRows(
  run: FinishedRun,
  unit: number,
  block: IndexBlock,
  books: IndexBooks,
): Promise<void> {
  const { rejected } = await run.layout(unit);
  const isRejected = new Set(rejected);
  const columns = [...DOMAIN_COLUMNS, ...LANGUAGE_COLUMNS];
  for await (const rows of run.rows(unit, { columns })) {
    for (const { position, status, reason, score, values } of rows) {
      const part = isRejected.has(position)
        ? 'rejected'
        : status === 'dropped'
          ? 'dropped'
          : 'staying';
      block.outcome[position] = books.outcomeOf({ status, reason: reason ?? '', part });
      block.score[position] = stepOf(score);
      if (status === 'dropped') block.share[position] = MAX_STEP;
      else if (status !== 'edited') block.share[position] = 0;
      const domain = DOMAIN_COLUMNS.find((name) => typeof values[name] === 'string');
      if (domain !== undefined) {
        const text = values[domain] as string;
        const name = domain === 'url' ? hostOf(text) : text.trim().toLowerCase();
        if (name !== '') block.domain[position] = books.domains.numberOf(name.slice(0, 100));
      }
      const language = LANGUAGE_COLUMNS.map((name) => values[name]).find(
        (value) => typeof value === 'string' && value.trim() !== '',
      ) as string | undefined;
      if (language !== undefined) {
        block.language[position] = books.languages.numberOf(language.trim().slice(0, 40));
      }
    }
  }
}

/** Host of a URL, without `www.`; empty where there is none. */
export function hostOf(url: string): string {
  const start = url.indexOf('//');
  if (start < 0) return '';
  let end = start + 2;
  while (end < url.length && end - start < 300 && !'/?#:'.includes(url[end]!)) end++;
  const host = url.slice(start + 2, end).toLowerCase();
  const bare = host.slice(host.lastIndexOf('@') + 1);
  return bare.startsWith('www.') ? bare.slice(4) : bare;
}

/** Numbers of the values of a column; null of those that are null. */
async function eachNumber(
  part: NarrowColumns,
  name: string,
  numbers: ByteNumbers,
  take: (row: number, number: number | null) => void,
): Promise<void> {
  for await (const { firstRow, nRows, offsets, data, isNull } of part.texts(name)) {
    for (let row = 0; row < nRows; row++) {
      const isNone = isNull(row);
      const number = isNone ? null : numbers.numberOf(data, offsets[row]!, offsets[row + 1]!);
      take(firstRow + row, number);
    }
  }
}

/** Takes the text of a row as it came: its bytes in `data`. */
export type TextTaker = (
  position: number,
  data: Uint8Array,
  range: readonly [number, number],
) => void;

/**
 * Step 2.
 *
 * @param isSource whether an input file is what the run has read
 * @param onText told of every text as it came that is read from Parquet
 * @returns false where texts as they came could not be read: shares of edited rows stay unknown then
 */
export async function sizeUnit(
  run: FinishedRun,
  block: IndexBlock,
  books: IndexBooks,
  isSource: (path: string) => Promise<boolean>,
  onText: TextTaker | null = null,
): Promise<boolean> {
  const { unit } = block;
  const staying = run.part(unit, 'staying');
  if (!staying || !isParquet(staying.path)) return sizeRows(run, block);
  const { dropped, isTaken, staying: rank } = await positionsOf(run, unit);
  const written = new Float64Array(block.nRows).fill(Number.NaN);
  const came = new Float64Array(block.nRows).fill(Number.NaN);
  const { text, original } = run.columns;
  await using part = await openPart(run, staying, [text, ...(original === null ? [] : [original])]);
  await eachSize(part, text, (row, bytes) => {
    written[rank[row]!] = bytes;
  });
  let isKnown = false;
  if (original !== null) {
    await eachSize(part, original, (row, bytes, data, range) => {
      came[rank[row]!] = bytes;
      onText?.(rank[row]!, data, range);
    });
    isKnown = true;
  } else {
    const range = inputRange(run.unit(unit).input);
    if (range.kind === 'row groups' && (await isSource(range.path))) {
      const rowGroups = [range.start, range.end] as const;
      const columns = [text, ...SOURCE_COLUMNS];
      await using input = await NarrowColumns.open(range.path, columns, { range: rowGroups });
      await eachSize(input, text, (row, bytes, data, range) => {
        if (row >= block.nRows) return;
        came[row] = bytes;
        onText?.(row, data, range);
      });
      // Of rows that were taken out the input alone says where they are from.
      const taken = Int32Array.from(isTaken, (flag, position) => (flag === 0 ? -1 : position));
      await indexSources(input, taken, block, books);
      isKnown = true;
    }
  }
  const droppedFile = run.part(unit, 'dropped');
  if (!isKnown && droppedFile && run.identity.options['droppedText'] === true) {
    await using texts = await openPart(run, droppedFile, [text]);
    await eachSize(texts, text, (row, bytes) => {
      came[dropped[row]!] = bytes;
    });
  }
  for (let position = 0; position < block.nRows; position++) {
    setSizes(block, position, came[position]!, written[position]!);
  }
  return isKnown;
}

function setSizes(block: IndexBlock, position: number, came: number, written: number): void {
  const before = Number.isNaN(came) && block.share[position] === 0 ? written : came;
  if (!Number.isNaN(before)) block.size[position] = sizeStepOf(before);
  if (block.share[position] !== NONE_16 || Number.isNaN(before) || Number.isNaN(written)) return;
  block.share[position] = stepOf(before === 0 ? 0 : Math.max(0, 1 - written / before));
}

async function sizeRows(run: FinishedRun, block: IndexBlock): Promise<boolean> {
  let isKnown = true;
  for await (const rows of run.rows(block.unit, { text: true })) {
    for (const { position, text, original, status } of rows) {
      const came = original === undefined || original === null ? Number.NaN : bytesOf(original);
      if (original === undefined && status === 'edited') isKnown = false;
      setSizes(block, position, came, text === null ? Number.NaN : bytesOf(text));
    }
  }
  return isKnown;
}

function bytesOf(text: string): number {
  return Buffer.byteLength(text);
}

async function eachSize(
  part: NarrowColumns,
  name: string,
  take: (
    row: number,
    bytes: number,
    data: Uint8Array,
    range: readonly [start: number, end: number],
  ) => void,
): Promise<void> {
  for await (const { firstRow, nRows, offsets, data, isNull } of part.texts(name)) {
    for (let row = 0; row < nRows; row++) {
      const [start, end] = [offsets[row]!, offsets[row + 1]!];
      if (!isNull(row)) take(firstRow + row, end - start, data, [start, end]);
    }
  }
}

/** Tells whether inputs are what the run has read; asks once a file. */
export function sourceCheck(run: FinishedRun): (path: string) => Promise<boolean> {
  const known = new Map<string, Promise<boolean>>();
  const expected = new Map(run.identity.inputs.map(({ path, fingerprint }) => [path, fingerprint]));
  return (path) => {
    let found = known.get(path);
    if (!found) {
      const fingerprint = expected.get(path);
      found = fingerprintOf(path, fingerprint?.startsWith('sha256:') ?? false).then(
        (now) => now === fingerprint,
        () => false,
      );
      known.set(path, found);
    }
    return found;
  };
}
