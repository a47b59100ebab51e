/**
 * Where a refined corpus comes from and what was done to it, as data: what a publisher of a training corpus has to state, as far
 * as the ledger and the rows of the run know it. What they do not know is listed as such, never guessed.
 *
 * Sizes of the whole are exact. Domains and languages are from the sample that says of itself what it is.
 */
import type { FinishedRun } from '../refine/finished-run.ts';
import { version } from '../version.ts';
import type { GroupSizes, RunSample } from './refine-sample.ts';
import { flattened } from './values.ts';

/** Groups that are listed. */
const MAX_GROUPS = 1_000;

/** Rows and characters of what came out, of a domain or a language. */
export interface DossierGroup {
  readonly name: string;
  readonly documents: number;
  readonly characters: number;
  /** Of the characters of the sample that came out. */
  readonly share: number;
}

/** A step of the processing. */
export interface DossierStep {
  readonly step: string;
  readonly what: string;
  readonly model: { readonly file: string; readonly bytes: number; readonly sha256: string } | null;
  readonly threshold: number | null;
}

/** See the file's header. */
export interface Dossier {
  readonly format: 1;
  readonly kind: 'dossier';
  readonly madeBy: string;
  readonly corpus: {
    readonly folder: string;
    readonly isWhole: boolean;
    readonly documents: number;
    readonly characters: number;
    readonly bytes: number;
    readonly files: number;
    /** Scaled up from the sample; null without a tokenizer. */
    readonly tokens: number | null;
    /** ISO 8601; null for runs that do not say. */
    readonly from: string | null;
    readonly to: string | null;
  };
  readonly sources: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly fingerprint: string;
  }[];
  readonly sample: { readonly rows: number; readonly isWhole: boolean; readonly seed: number };
  readonly domains: readonly DossierGroup[] | null;
  readonly nDomains: number | null;
  readonly languages: readonly DossierGroup[] | null;
  readonly processing: {
    readonly versions: Readonly<Record<string, string>>;
    readonly steps: readonly DossierStep[];
    readonly options: Readonly<Record<string, string>>;
  };
  readonly removed: {
    readonly documentsIn: number;
    readonly charactersIn: number;
    readonly documentsDropped: number;
    readonly documentsEdited: number;
    readonly documentsFailed: number;
    readonly charactersRemoved: number;
    readonly reasons: Readonly<Record<string, number>>;
  };
  /** What a run cannot know and whoever publishes has to add. */
  readonly unknown: readonly string[];
}

/** Of a run and a sample of it. */
export function dossierOf(run: FinishedRun, sample: RunSample): Dossier {
  const { counts, identity, units } = run;
  const staying = units.flatMap(({ files }) => files.filter(({ path }) => !path.includes('/')));
  const ends = units.flatMap(({ endedAt }) => endedAt ?? []);
  const starts = units.flatMap(({ endedAt, seconds }) =>
    endedAt === undefined ? [] : [endedAt - 1000 * seconds],
  );
  const scale = sample.nRows === 0 ? 0 : sample.nTotal / sample.nRows;
  return {
    ...{ format: 1, kind: 'dossier', madeBy: `gristmill ${version}` },
    corpus: {
      folder: run.out,
      isWhole: run.isWhole,
      documents: counts.kept + counts.edited,
      characters: counts.charsOut,
      bytes: staying.reduce((sum, { bytes }) => sum + bytes, 0),
      files: staying.length,
      tokens: sample.tokens ? Math.round(scale * sample.tokens.after) : null,
      from: isoOf(starts, Math.min),
      to: isoOf(ends, Math.max),
    },
    sources: identity.inputs.map(({ path, bytes, fingerprint }) => ({ path, bytes, fingerprint })),
    sample: { rows: sample.nRows, isWhole: sample.isWhole, seed: sample.seed },
    domains: sample.domainColumn === null ? null : groupsOf(sample.domains),
    nDomains: sample.domainColumn === null ? null : sample.domains.size,
    languages: sample.languageColumn === null ? null : groupsOf(sample.languages),
    processing: {
      versions: { ...identity.versions },
      steps: stepsOf(run),
      options: Object.fromEntries(flattened({ ...identity.options })),
    },
    removed: {
      documentsIn: counts.rowsIn,
      charactersIn: counts.charsIn,
      documentsDropped: counts.dropped,
      documentsEdited: counts.edited,
      documentsFailed: counts.failed,
      charactersRemoved: counts.charsIn - counts.charsOut,
      reasons: counts.reasons,
    },
    unknown: UNKNOWN,
  };
}

const UNKNOWN: readonly string[] = [
  'who provides the corpus and the models that are trained on it',
  'under which licences or other rights the sources are used',
  'whether sources were crawled, licensed, bought, contributed by users or generated, by whom and when',
  'which crawler was used, how it behaved, and which reservations of rights it honoured',
  'what was done to the sources before this run, and to the corpus after it',
  'measures against illegal content beyond what the steps above remove',
];

function isoOf(times: readonly number[], pick: (...values: number[]) => number): string | null {
  if (times.length === 0) return null;
  return new Date(times.reduce((one, other) => pick(one, other))).toISOString();
}

/** The largest first. */
function groupsOf(groups: ReadonlyMap<string, GroupSizes>): DossierGroup[] {
  const total = [...groups.values()].reduce((sum, { charsOut }) => sum + charsOut, 0);
  return [...groups]
    .map(([name, { rows, dropped, charsOut }]) => ({
      name,
      documents: rows - dropped,
      characters: charsOut,
      share: total === 0 ? 0 : charsOut / total,
    }))
    .sort((one, other) => other.characters - one.characters || (one.name < other.name ? -1 : 1))
    .slice(0, MAX_GROUPS);
}

function stepsOf({ identity }: FinishedRun): DossierStep[] {
  const { models, thresholds, options } = identity;
  const modelOf = (stage: string) => {
    const model = models[stage];
    return model ? { file: model.path, bytes: model.bytes, sha256: model.sha256 } : null;
  };
  const steps: DossierStep[] = [];
  const [document, chunk] = [modelOf('document'), modelOf('chunk')];
  if (document) {
    const what = 'a model judges each document as a whole; those that it judges unfit are dropped';
    const threshold = thresholds?.document ?? null;
    steps.push({ step: 'document stage', what, model: document, threshold });
  }
  if (chunk) {
    const threshold = thresholds?.line ?? null;
    const what =
      threshold === null
        ? `a model writes a program for every stretch of a document (dialect ${String(options['dialect'])}), which removes or changes lines and is executed`
        : 'a model scores each line of a document; those below the threshold are removed';
    steps.push({ step: 'chunk stage', what, model: chunk, threshold });
  }
  return steps;
}
