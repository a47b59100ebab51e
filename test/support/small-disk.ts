/** A small file system of a test's own, that can be full and have room again. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';

/** See the file's header. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Null, with a word on stderr, where none can be mounted. */
  static mount(path: string, kilobytes: number): SmallDisk | null {
    mkdirSync(path);
    try {
      const options = `size=${kilobytes}k,nr_inodes=100000`;
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' });
      return new SmallDisk(path);
    } catch {
      process.stderr.write('SKIPPED: a full disk, as no small file system can be mounted here\n');
      return null;
    }
  }

  resize(kilobytes: number): void {
    execFileSync('mount', ['-o', `remount,size=${kilobytes}k`, this.path]);
  }

  /** Takes all room but for some pages. */
  fill(): void {
    const { blocks, bfree, bsize } = statfsSync(this.path);
    const usedKb = ((blocks - bfree) * bsize) / 1024;
    // Whoever writes at this very moment may have more by now.
    for (let spareKb = 8; spareKb <= 4096; spareKb *= 2) {
      try {
        this.resize(usedKb + spareKb);
        return;
      } catch {
        // With more to spare.
      }
    }
  }

  unmount(): void {
    execFileSync('umount', ['-l', this.path]);
  }
}
