/** The part of picomatch that walk.ts and inputs.ts use; the package has no types of its own. */
declare module 'picomatch' {
  interface Scan {
    /** What stands before the first wildcard, up to a slash; the glob behind it. */
    readonly base: string;
    readonly glob: string;
    readonly isGlob: boolean;
  }
  function picomatch(glob: string): (path: string) => boolean;
  namespace picomatch {
    function scan(pattern: string): Scan;
  }
  export default picomatch;
}
