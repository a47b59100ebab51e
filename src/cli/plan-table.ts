/** What `gristmill refine --plan` prints. */
import { printable } from '../errors.ts';
import { count } from '../figures.ts';

import type { PlanOverview, RunSummary } from '../refine/statistics.ts';

/** Files that are listed; `--json` lists all. */
const MAX_FILES = 50;

/** A plan as text: its files, their columns, and what cannot be read. */
export function planTable(plan: PlanOverview, errors: RunSummary['errors']): string {
  const rows = plan.files
    .slice(0, MAX_FILES)
    .map((file) => [
      printable(file.path),
      file.format,
      file.rows === null ? '?' : count(file.rows),
      `${(file.bytes / 1e6).toFixed(1)} MB`,
      `${file.units}`,
    ]);
  const lines = table([['file', 'format', 'rows', 'size', 'units'], ...rows]);
  const more = plan.files.length - rows.length;
  if (more > 0) lines.push(`and ${count(more)} more; --json lists all`);
  for (const { family, columns } of plan.schemas) {
    lines.push(`columns (${family}): ${columns.map(typed).join(', ')}`);
  }
  if (plan.partitions.length > 0) {
    lines.push(`columns from folders: ${plan.partitions.map(typed).join(', ')}`);
  }
  const id = plan.idColumn === null ? 'no ids' : `ids from ${printable(plan.idColumn)}`;
  lines.push(`text from ${printable(plan.textColumn)}, ${id}`);
  for (const { input, code, message } of errors) {
    lines.push(`failed: ${printable(input)}: ${code}: ${printable(message)}`);
  }
  return `${lines.join('\n')}\n`;
}

function typed({ name, type }: { readonly name: string; readonly type: string }): string {
  return `${printable(name)} ${printable(type)}`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows.map((row) =>
    row
      .map((cell, at) => (at < 2 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join('  ')
      .trimEnd(),
  );
}
