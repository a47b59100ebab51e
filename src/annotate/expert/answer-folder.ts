/**
 * What answers are kept in (answer-cache.ts): files of lines that are only ever appended to, each by one writer; on a file system
 * (answer-files.ts) or in a bucket (answer-objects.ts).
 */
/** Where lines came to lie. */
export interface AppendedAt {
  readonly file: string;
  /** Of the first byte. */
  readonly offset: number;
}

/** Files that one run writes. */
export interface AnswerWriter {
  /** Appends whole lines; they last when this resolves. */
  append(lines: Buffer): Promise<AppendedAt>;
  close(): Promise<void>;
}

/** See the file's header. Files are named as messages name them. */
export interface AnswerFolder {
  /** Files there are, each with its bytes in order. */
  files(): AsyncIterable<{ readonly file: string; readonly chunks: AsyncIterable<Buffer> }>;
  /** Bytes of a file; an error where it has become shorter. */
  read(file: string, offset: number, length: number): Promise<Buffer>;
  /** A writer of files that no other run has. @param header their first line */
  begin(header: Buffer): Promise<AnswerWriter>;
  close(): Promise<void>;
}

/** `answers-00017.jsonl`; in a bucket `answers-00017-<its run>.jsonl`. */
const NAME = /^answers-(\d{5,15})(?:-[0-9a-f]{16})?\.jsonl$/;

/** Names of files of answers among others, in the order that they were begun in. */
export function answerFiles(names: readonly string[]): string[] {
  const numbered = names.flatMap((name) => {
    const number = NAME.exec(name)?.[1];
    return number === undefined ? [] : [{ name, number: Number(number) }];
  });
  numbered.sort((one, two) => one.number - two.number || (one.name < two.name ? -1 : 1));
  return numbered.map(({ name }) => name);
}

/** The number behind the last of some files. */
export function nextNumber(names: readonly string[]): number {
  const last = answerFiles(names).at(-1);
  return last === undefined ? 0 : Number(NAME.exec(last)![1]) + 1;
}

/** A number as names have it. */
export function numbered(number: number): string {
  return String(number).padStart(5, '0');
}
