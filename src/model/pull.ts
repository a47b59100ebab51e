/**
 * `gristmill models pull`: a model of the Hugging Face hub → a converted file in the cache, where {@link pulledModel} finds it.
 *
 *     <cache>/models/<owner>--<name>/<commit>/hf/      what is downloaded; removed after the conversion
 *
 * An interrupted pull goes on where it stopped when it is started again. The revision's name is written last: it never
 * points at a model that is not there.
 */
import { rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { abortSignal, callback, checkOptions, flag, type OptionTable, text } from '../options.ts';
import { takeLease } from '../work/lease.ts';
import { convertModel } from './convert/convert.ts';
import { indexedFiles } from './convert/safetensors.ts';
import { type ConvertedType, hubFolder, hubModelPath } from './hub-cache.ts';
import { filesOf, type HubAccess, type HubFile, hubError, resolveCommit } from './hub-client.ts';
import { downloadFile, writing } from './hub-download.ts';
import { HUB_LIMITS } from './hub-limits.ts';

/** Options of {@link pullModel}. */
export interface PullModelOptions {
  /** `owner/name`. */
  readonly repo: string;
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Storage of the matrices. Default `bf16`. */
  readonly type?: ConvertedType;
  /** Keeps the downloaded files. Default false. */
  readonly keepSource?: boolean;
  /** Default `$HF_ENDPOINT`, else `https://huggingface.co`. */
  readonly endpoint?: string;
  /** Default `$HF_TOKEN`. */
  readonly token?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
}

/** How far a pull is. */
export interface PullProgress {
  readonly stage: 'download' | 'convert';
  /** The file or tensor at work. */
  readonly item: string;
  readonly bytesDone: number;
  /** Of the stage, as far as it is known. */
  readonly bytes: number;
}

/** What was pulled. */
export interface PullSummary {
  /** The converted file. */
  readonly path: string;
  readonly repo: string;
  readonly revision: string;
  readonly commit: string;
  readonly type: ConvertedType;
  /** Bytes that came over the network; 0 when the model was there. */
  readonly bytesReceived: number;
  /** What the converted model does otherwise than the source, in words. */
  readonly notes: readonly string[];
}

const ENDPOINT = 'https://huggingface.co';
const INDEX = 'model.safetensors.index.json';
const SMALL_FILES = [
  'config.json',
  'generation_config.json',
  'README.md',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
  INDEX,
];
const TYPES: readonly string[] = ['f32', 'f16', 'bf16', 'q8_0'] satisfies ConvertedType[];

const OPTION_TABLE: OptionTable<PullModelOptions> = {
  repo: text,
  revision: text,
  type: text,
  keepSource: flag,
  endpoint: text,
  token: text,
  signal: abortSignal,
  onProgress: callback,
};

/**
 * Pulls and converts a model, or finds it in the cache.
 *
 * @throws OPTION_INVALID, MODEL_HUB_FAILED, MODEL_HUB_CHECKSUM, MODEL_WRITE_FAILED, MODEL_FILES_INVALID,
 * MODEL_CONVERT_UNSUPPORTED, RUN_OUTPUT_IN_USE while another process pulls the same commit, RUN_LEASE_LOST, ABORTED
 */
export async function pullModel(options: PullModelOptions): Promise<PullSummary> {
  checkOptions<PullModelOptions>('pullModel', options, OPTION_TABLE, ['repo']);
  const { repo, revision = 'main', type = 'bf16', signal } = options;
  const access = accessOf(options);
  checkValues({ repo, revision, type });
  const commit = await resolveCommit(access, revision);
  const path = hubModelPath(repo, commit, type);
  let bytesReceived = 0;
  let notes: readonly string[] = [];
  const isThere = async () => (await stat(path).catch(() => null))?.isFile() ?? false;
  if (!(await isThere())) {
    const folder = dirname(path);
    const dir = join(folder, 'hf');
    await writing(dir, async () => makeFolder(dir));
    // Two that pull one commit would write into each other's partial files, and remove each other's source.
    using lease = await writing(folder, () => takeLease(folder, join(folder, 'lock'), { signal }));
    if (!(await isThere())) {
      await writing(dir, async () => makeFolder(dir));
      bytesReceived = await download(access, commit, dir, options);
      lease.check();
      const summary = await convertModel({
        dir,
        out: path,
        type,
        name: repo.split('/')[1]!,
        ...(signal && { signal }),
        onProgress: ({ bytesDone, bytes, tensor }) =>
          options.onProgress?.({ stage: 'convert', item: tensor, bytesDone, bytes }),
      });
      notes = summary.notes;
    }
    lease.check();
    if (!options.keepSource) await rm(dir, { recursive: true, force: true });
  }
  await nameRevision(repo, revision, commit);
  return { path, repo, revision, commit, type, bytesReceived, notes };
}

async function download(
  access: HubAccess,
  commit: string,
  dir: string,
  { onProgress }: PullModelOptions,
): Promise<number> {
  const files = new Map((await filesOf(access, commit)).map((file) => [file.name, file]));
  if (!files.has('config.json')) throw hubError(access.repo, 'it has no config.json');
  let received = 0;
  let doneBefore = 0;
  const { smallFileBytes } = access.limits ?? HUB_LIMITS;
  const large = SMALL_FILES.find((name) => (files.get(name)?.bytes ?? 0) > smallFileBytes);
  if (large !== undefined) {
    const reason = `${large} has ${files.get(large)!.bytes} bytes, expected at most ${smallFileBytes}`;
    throw hubError(access.repo, reason);
  }
  const fetchAll = async (list: readonly HubFile[]): Promise<void> => {
    const bytes = doneBefore + list.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of list) {
      const onBytes = (done: number): void =>
        onProgress?.({ stage: 'download', item: file.name, bytesDone: doneBefore + done, bytes });
      const path = join(dir, file.name);
      received += await downloadFile({ access, commit, file, path, onBytes });
      doneBefore += file.bytes;
    }
  };
  await fetchAll(SMALL_FILES.flatMap((name) => files.get(name) ?? []));
  const named = files.has(INDEX)
    ? indexedFiles(dir)
    : [...files.keys()].filter((name) => /^model[\w.-]*\.safetensors$/.test(name));
  if (named.length === 0) throw hubError(access.repo, 'it has no safetensors weights');
  await fetchAll(
    named.map((name) => {
      const file = files.get(name);
      if (!file) throw hubError(access.repo, `${INDEX} names ${name}, which is not there`);
      return file;
    }),
  );
  return received;
}

async function nameRevision(repo: string, revision: string, commit: string): Promise<void> {
  const file = join(hubFolder(repo), 'refs', revision.replaceAll('/', '--'));
  await writing(file, async () => {
    makeFolder(dirname(file));
    writeDurably(file, `${commit}\n`);
  });
}

function accessOf({ repo, endpoint, token, signal }: PullModelOptions): HubAccess {
  const given = (endpoint ?? process.env['HF_ENDPOINT']) || ENDPOINT;
  if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol)) {
    throw invalid('endpoint', 'an http or https URL', given);
  }
  return {
    repo,
    endpoint: given.replace(/\/+$/, ''),
    token: (token ?? process.env['HF_TOKEN']) || null,
    signal,
  };
}

function checkValues(options: { repo: string; revision: string; type: string }): void {
  const { repo, revision, type } = options;
  const name = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/;
  // Two dashes join owner and name in the cache; the hub allows neither them nor two dots.
  if (typeof repo !== 'string' || !name.test(repo) || /--|\.\./.test(repo)) {
    throw invalid('repo', 'owner/name', repo);
  }
  if (!/^\w[\w./-]{0,255}$/.test(revision) || /--|\.\./.test(revision)) {
    throw invalid('revision', 'a branch, a tag or a commit', revision);
  }
  if (!TYPES.includes(type)) throw invalid('type', TYPES.join(', '), type);
}

function invalid(option: string, expected: string, received: unknown): GristmillError {
  return new GristmillError('OPTION_INVALID', { option, expected, received });
}
