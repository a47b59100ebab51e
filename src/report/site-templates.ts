/** What the largest sites of a run repeat on their pages, where the run has counted that. */
import type { FinishedRun } from '../refine/finished-run.ts';
import { sitesOfRun } from '../refine/finished-sites.ts';
import { note, type Section, table } from './page.ts';

const MAX_SITES = 8;
const MAX_LINES = 15;

/** A site in a report. */
export interface ReportedSite {
  readonly name: string;
  readonly pages: number;
  /** Lines of its template, and all that it repeats. */
  readonly templateLines: number;
  readonly repeatedLines: number;
  /** Of the template, the lines on the most pages; as lines are compared. */
  readonly lines: readonly { readonly pages: number; readonly text: string }[];
}

/** The sites of a run in a report. */
export interface ReportedSites {
  readonly column: string;
  /** That repeat a line, and those lines. */
  readonly sites: number;
  readonly lines: number;
  /** With the most pages. */
  readonly largest: readonly ReportedSite[];
}

/** Null for a run that has counted none. */
export async function reportedSites(run: FinishedRun): Promise<ReportedSites | null> {
  using opened = await sitesOfRun(run);
  if (!opened) return null;
  const { counts, siteColumn: column } = opened;
  const largest = opened.largest(MAX_SITES).map(({ name }) => {
    const { pages, templateLines, repeatedLines, lines } = opened.template(name);
    return { name, pages, templateLines, repeatedLines, lines: lines.slice(0, MAX_LINES) };
  });
  return { column, sites: counts.sitesKept, lines: counts.linesKept, largest };
}

/** A table of the sites, and one of each one's template. */
export function sitesSection(reported: ReportedSites | null): Section {
  const title = 'What sites repeat';
  if (!reported || reported.largest.length === 0) return { title, parts: [] };
  const figures = (value: number): string => value.toLocaleString('en-US');
  const { column, sites, lines, largest } = reported;
  return {
    title,
    parts: [
      table(
        ['site', 'pages', 'lines of its template', 'lines repeated at all'],
        largest.map(({ name, pages, templateLines, repeatedLines }) => [
          name,
          figures(pages),
          figures(templateLines),
          figures(repeatedLines),
        ]),
        { caption: `Sites with the most pages, of ${figures(sites)} that repeat a line` },
      ),
      note(
        `By column ${column}, copies of a page counted once; ${figures(lines)} lines stand on two pages of their site or more. Below are lines as they are compared, in lower case and with digits as 0.`,
      ),
      ...largest
        .filter((site) => site.lines.length > 0)
        .map(({ name, pages, lines: own }) =>
          table(
            ['line', 'pages', 'share'],
            own.map((line) => [
              line.text,
              figures(line.pages),
              `${((100 * line.pages) / pages).toFixed(0)} %`,
            ]),
            { caption: `Template of ${name}` },
          ),
        ),
    ],
  };
}
