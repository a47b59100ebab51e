/** Documents that were asked for are those of the run that meet the conditions, with the texts that it read and wrote. */
import { describe, expect, it } from 'vitest';
import { FinishedRun } from '../../src/refine/finished-run.ts';
import { chosenRows, rowCondition } from '../../src/report/chosen-rows.ts';
import { hostileInput, refined } from './support.ts';

describe('chosenRows', () => {
  it('meets the conditions, draws with a seed, and sorts', async () => {
    const run = await FinishedRun.open(await refined(hostileInput()));
    const edited = await chosenRows(run, { where: [rowCondition('status=edited')], sample: 1000 });
    expect(edited.length).toBe(run.counts.edited);
    for (const { row, before, after, removedShare } of edited) {
      expect(row.status).toBe('edited');
      expect(before!.length).toBeGreaterThan(after!.length);
      expect(removedShare).toBeGreaterThan(0);
    }
    const five = { where: [rowCondition('status=edited')], sample: 5, seed: 2 };
    const drawn = await chosenRows(run, { ...five, sort: 'share' });
    expect(drawn.length).toBe(5);
    expect(drawn.map(({ removedShare }) => removedShare)).toEqual(
      drawn.map(({ removedShare }) => removedShare).sort((one, other) => other! - one!),
    );
    expect(await chosenRows(run, { ...five, sort: 'share' })).toEqual(drawn);
    const { id } = edited[3]!.row;
    const [byId] = await chosenRows(run, { where: [{ field: 'id', operator: '=', value: id! }] });
    expect(byId!.row.row).toBe(edited[3]!.row.row);
    const low = await chosenRows(run, { where: [rowCondition('score<0.5')], sample: 1000 });
    for (const { row } of low) expect(row.score).toBeLessThan(0.5);
    const english = await chosenRows(run, { where: [rowCondition('language=en')], sample: 1000 });
    expect(english.length).toBeGreaterThan(0);
  });

  it.each(['status', '', '=x', 'score<', 'score<x'])('refuses the condition %s', (text) => {
    expect(() => rowCondition(text)).toThrowError(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    );
  });
});
