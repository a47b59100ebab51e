import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { painter } from '../../src/cli/colour.ts';

const COLOUR = join(import.meta.dirname, '../../dist/cli/colour.js');

describe('painter', () => {
  it('paints, one style or several, or leaves text alone', () => {
    expect(painter(false)('red', 'x')).toBe('x');
    expect(painter(true)('red', 'x')).toBe('\u001b[31mx\u001b[39m');
    expect(painter(true)(['bold', 'red'], 'x')).toBe('\u001b[31m\u001b[1mx\u001b[22m\u001b[39m');
  });

  // `--color always` into a pipe had no colours: Node's styleText looked at the standard output by itself.
  it('does as it is told where the output is no terminal, whatever the environment says', () => {
    const script = `import { painter } from ${JSON.stringify(COLOUR)}; process.stdout.write(painter(true)('red', 'x'))`;
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '' },
    });
    expect(said.toString()).toBe('\u001b[31mx\u001b[39m');
  });
});
