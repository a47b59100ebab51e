/** A plan in words and as data, for those who want to see it before it is carried out. */
import { describeLeftOut } from '../corpus/inputs.ts';
import type { CorpusPlan } from '../corpus/types.ts';
import { counted } from '../figures.ts';
import type { PlanOverview } from './statistics.ts';
import { totalRows } from './tally.ts';

/** Failed files that are named; a summary lists all. */
const MAX_NAMED = 20;

/** A plan in lines: what will be done, what is left out, what cannot be read. */
export function describePlan(plan: CorpusPlan): string[] {
  const { files, units, failedFiles, schemas, partitions, leftOut } = plan;
  const bytes = units.reduce((sum, unit) => sum + unit.bytes, 0);
  const rows = totalRows(units);
  const parts = [
    counted(files.length, 'file'),
    counted(units.length, 'unit'),
    rows === null ? null : counted(rows, 'row'),
    `${(bytes / 1e6).toFixed(1)} MB`,
    failedFiles.length > 0 ? `${counted(failedFiles.length, 'file')} cannot be read` : null,
  ];
  const lines = [`plan: ${parts.filter((part) => part !== null).join(', ')}`];
  if (plan.isTextGuessed) {
    lines.push(
      `text is read from ${plan.textColumn}, as no column is called text; --text-column names another one`,
    );
  }
  for (const { path, code, message } of failedFiles.slice(0, MAX_NAMED)) {
    lines.push(`left out: ${path}: ${code}: ${message}`);
  }
  if (failedFiles.length > MAX_NAMED) {
    lines.push(`left out: ${counted(failedFiles.length - MAX_NAMED, 'more file')}`);
  }
  lines.push(...describeLeftOut(leftOut));
  for (const { name } of partitions) {
    const files = schemas.filter(({ columns }) => columns.some((column) => column.name === name));
    if (files.length === 0) continue;
    lines.push(`column ${name}: files have it themselves, the names of their folders do not count`);
  }
  return lines;
}

/** A plan as data. */
export function planOverview(plan: CorpusPlan): PlanOverview {
  const unitsOf = new Map<number, number>();
  for (const { fileIndex, nFiles = 1 } of plan.units) {
    for (let at = fileIndex; at < fileIndex + nFiles; at++) {
      unitsOf.set(at, (unitsOf.get(at) ?? 0) + 1);
    }
  }
  const named = (columns: CorpusPlan['columns']) =>
    columns.map(({ name, type }) => ({ name, type }));
  return {
    units: plan.units.length,
    rows: totalRows(plan.units),
    bytes: plan.units.reduce((sum, { bytes }) => sum + bytes, 0),
    textColumn: plan.textColumn,
    idColumn: plan.idColumn,
    files: plan.files.map(({ path, format, bytes, rows, schema }, at) => {
      return { path, format, bytes, rows, units: unitsOf.get(at) ?? 0, schema };
    }),
    schemas: plan.schemas.map(({ family, columns }) => ({ family, columns: named(columns) })),
    partitions: named(plan.partitions),
    leftOut: plan.leftOut,
  };
}
