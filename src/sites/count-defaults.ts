/** Defaults of counting by site; a file of its own, as commands name them before they load what counts. */
export const COUNT_DEFAULTS = Object.freeze({ unitRows: 10_000 });
