/**
 * The schemas of a corpus. Each file is read and written with its own columns; what is compared is whether the files are
 * one table at all. JSON lines declare no types, so all of their files share the columns that hold what was seen.
 */
import { GristmillError } from '../errors.ts';
import { asNullable, describeColumn, isIdentical, isOptional, joinTyped } from './column-match.ts';
import { type FormatFamily, familyOf } from './formats.ts';
import { joinColumns } from './json-values.ts';
import type { ScannedFile } from './scan.ts';
import { matchColumns } from './schema.ts';
import type { CorpusColumn, CorpusSchema } from './types.ts';

interface Family {
  readonly firstPath: string;
  columns: readonly CorpusColumn[];
}

/** Gathers the columns of files in the order of the plan. */
export class SchemaBook {
  readonly #textColumn: string;
  readonly #families = new Map<FormatFamily, Family>();
  readonly #schemas: { family: FormatFamily; columns: readonly CorpusColumn[] }[] = [];
  readonly #known = new Map<string, number>();

  constructor(textColumn: string) {
    this.#textColumn = textColumn;
  }

  /**
   * Takes a file in.
   *
   * @returns the index of its schema
   * @throws CORPUS_SCHEMA_DIFFERS when it cannot be one table with the files of its family before it
   */
  add({ file, columns }: ScannedFile): number {
    const family = familyOf(file.format);
    const known = this.#families.get(family);
    if (!known) this.#families.set(family, { firstPath: file.path, columns });
    else if (family === 'jsonl') known.columns = joinJson(known.columns, columns);
    else known.columns = this.#join(known, file.path, columns);
    const key = family === 'jsonl' ? family : `${family} ${JSON.stringify(columns)}`;
    const at = this.#known.get(key) ?? this.#schemas.length;
    if (at === this.#schemas.length) {
      this.#schemas.push({ family, columns });
      this.#known.set(key, at);
    }
    return at;
  }

  /** The schemas by their indices. */
  schemas(): CorpusSchema[] {
    return this.#schemas.map(({ family, columns }) => ({
      family,
      columns: family === 'jsonl' ? this.#families.get(family)!.columns : columns,
    }));
  }

  /**
   * Columns that hold what every file has, those of the first file first. Where families have one column in types that
   * cannot be joined, the first one's type stands.
   */
  columns(): readonly CorpusColumn[] {
    const [first, ...others] = [...this.#families.values()];
    if (!first) return [];
    let all = first.columns;
    for (const { columns } of others) {
      const twins = matchColumns(all, columns);
      const joined = all.map((column, at) => {
        const other = columns[twins[at]!];
        const isText = column.name === this.#textColumn;
        return other ? (joinTyped(column, other, isText) ?? column) : asNullable(column);
      });
      const added = columns.filter((_, at) => !twins.includes(at));
      all = [...joined, ...added.map(asNullable)];
    }
    return all;
  }

  #join(known: Family, path: string, columns: readonly CorpusColumn[]): readonly CorpusColumn[] {
    if (
      columns.length === known.columns.length &&
      columns.every((c, at) => isIdentical(c, known.columns[at]!))
    )
      return known.columns;
    const fail = (column: string, firstType: string, secondType: string): never => {
      const files = { first: known.firstPath, second: path };
      throw new GristmillError('CORPUS_SCHEMA_DIFFERS', {
        ...files,
        column,
        firstType,
        secondType,
      });
    };
    const twins = matchColumns(known.columns, columns);
    const joined = known.columns.map((column, at) => {
      const { name } = column;
      const other = columns[twins[at]!];
      if (!other)
        return isOptional(column) ? column : fail(name, describeColumn(column), 'nothing');
      return (
        joinTyped(column, other, name === this.#textColumn) ??
        fail(name, describeColumn(column), describeColumn(other))
      );
    });
    const added = columns.filter((_, at) => !twins.includes(at));
    for (const column of added) {
      if (!isOptional(column)) fail(column.name, 'nothing', describeColumn(column));
    }
    return [...joined, ...added];
  }
}

function joinJson(
  columns: readonly CorpusColumn[],
  others: readonly CorpusColumn[],
): readonly CorpusColumn[] {
  const byName = new Map(others.map((column) => [column.name, column]));
  const joined = columns.map((column) => {
    const other = byName.get(column.name);
    return other ? joinColumns(column, other) : column;
  });
  const known = new Set(columns.map(({ name }) => name));
  return [...joined, ...others.filter(({ name }) => !known.has(name))];
}
