/** Names of the columns that native/pages makes, in their order. */

/** Features of a line itself. */
const OWN = [
  'logChars',
  'logWords',
  'meanWordChars',
  'letterShare',
  'upperShare',
  'digitShare',
  'markShare',
  'capitalWordShare',
  'numberWordShare',
  'stopShare',
  'logStopWords',
  'endKind',
  'startKind',
  'logSentenceEnds',
  'commasPerWord',
  'logSeparators',
  'logCodeMarks',
  'hasAt',
  'colons',
  'isProse',
] as const;

/** Features of the page and of the line's place in it. */
const PLACE = [
  'logPageLines',
  'logPageChars',
  'pageProseShare',
  'pageMeanLogChars',
  'lineShare',
  'charShare',
  'logLinesBefore',
  'logLinesAfter',
  'logProseBefore',
  'logProseAfter',
  'proseShareBefore',
  'logToProseBefore',
  'logToProseAfter',
  'logCopies',
  'isFirstCopy',
  'logToCopy',
  'topicShare',
  'logShortRun',
  'logProseGap',
  'inBestStretch',
  'logToBestStretch',
] as const;

/** Own features repeated for the lines around. */
const NEIGHBOURS = [
  'logChars',
  'stopShare',
  'endKind',
  'capitalWordShare',
  'logSeparators',
] as const;
const OFFSETS = ['-3', '-2', '-1', '+1', '+2', '+3'] as const;

/** Signals averaged over the lines around, without the line itself. */
const SIGNALS = [
  'logChars',
  'stopShare',
  'endKind',
  'capitalWordShare',
  'isProse',
  'logCopies',
  'digitShare',
] as const;
const WINDOWS = ['-2..+2', '-5..+5', '-12..+12', '-30..+30', '-8..+0', '-0..+8'] as const;

/** What a line holds, and shares of the lines around that hold it. */
const FLAGS = [
  'hasPrice',
  'hasYear',
  'hasJoined',
  'hasUrl',
  'hasQuestion',
  'isBullet',
  'isShort',
] as const;

/** Names of the features of a line. */
export const LINE_FEATURES: readonly string[] = [
  ...OWN,
  ...PLACE,
  ...OFFSETS.flatMap((offset) => NEIGHBOURS.map((name) => `${name}[${offset}]`)),
  ...WINDOWS.flatMap((window) => SIGNALS.map((name) => `${name}[${window}]`)),
  'logShapeCopies',
  'logPairCopies',
  'logTripleCopies',
  'logFiveCopies',
  'logToLastTriple',
  'logToNextTriple',
  'isRegular',
  'logShapeRun',
  'shapeShare',
  'repeatedTriples[10]',
  'repeatedTriples[30]',
  'repeatedTriples',
  'distinctShapes',
  ...FLAGS,
  ...[4, 15].flatMap((lines) => FLAGS.map((name) => `${name}[${lines}]`)),
];

/** Features of a line. */
export const N_LINE_FEATURES = LINE_FEATURES.length;

/** Columns that a model's log-odds around a line become. */
export const N_LOGIT_FEATURES = 29;

/** Names of the features of a document. */
export const DOCUMENT_FEATURES = [
  'logChars',
  'logLines',
  'logWords',
  'meanLogLineChars',
  'spreadLogLineChars',
  'proseLineShare',
  'proseCharShare',
  'stopShare',
  'sentenceEndLineShare',
  'shortLineShare',
  'letterShare',
  'upperShare',
  'digitShare',
  'markShare',
  'capitalWordShare',
  'meanWordChars',
  'copiedLineShare',
  'distinctWords',
  'separatorsPerLine',
  'codeMarksPerLine',
  'wordsPerSentence',
  'repeatedTriples',
  'distinctShapes',
  'priceLineShare',
  'yearLineShare',
  'urlLineShare',
  'questionLineShare',
  'bulletLineShare',
  'topWordShare',
  'copiedPairShare',
  'logLongestLine',
  'unspacedShare',
] as const;
