#!/usr/bin/env node
/**
 * What is started as `gristmill`: it listens to signals, and then loads the program (program.ts), which takes a while, and
 * which nobody needs who asks for the version.
 */
import './first-signals.ts';
import { watchOutput } from './output-closed.ts';

watchOutput();
const asked = process.argv.slice(2);
if (asked.length === 1 && (asked[0] === '--version' || asked[0] === '-V')) {
  const { version } = await import('../version.ts');
  process.stdout.write(`${version}\n`);
} else {
  const { runProgram } = await import('./program.ts');
  await runProgram();
}
