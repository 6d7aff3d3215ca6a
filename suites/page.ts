/** The page about the checks: `suites/README.md` is what this makes of the suites. Failures link to its sections. */
import type { Budget } from '../lib/model/budgets.ts';
import { CAUSES } from '../lib/model/causes.ts';
import type { AnyCheck, Suite } from '../lib/model/check.ts';

const budgetsOf = (check: AnyCheck): string[] =>
  Object.entries((check.budgets ?? {}) as Record<string, Budget>).map(
    ([name, { value, unit, reason }]) => `| \`budgets.${check.id}.${name}\` | ${value} ${unit} | ${reason} |`,
  );

function sectionOf(check: AnyCheck): string {
  const budgets = budgetsOf(check);
  const faults = (check.faults ?? []).map(({ kind, cause }) => `\`${kind}\` → \`${cause}\``);
  return [
    `### ${check.id}`,
    `${check.title}.`,
    [
      `- Level: ${check.level}; one case for each ${check.scope === 'pair' ? 'directed pair of clusters' : check.scope === 'fleet' ? 'run' : 'cluster'}${check.familyless ? '' : ' and IP family'}.`,
      ...(check.requires?.length
        ? [`- Needs: ${check.requires.map((name) => `\`${name}\``).join(', ')}.`]
        : []),
      ...(check.dependsOn?.length
        ? [
            `- Inconclusive when one of these did not pass: ${check.dependsOn.map((id) => `\`${id}\``).join(', ')}.`,
          ]
        : []),
      `- When it fails: ${check.hint}.`,
      faults.length > 0
        ? `- Shown able to fail by: ${faults.join(', ')}.`
        : `- No fault is injected from outside: ${check.withoutFaults}.`,
      ...(check.reference ? [`- Source: ${check.reference}.`] : []),
    ].join('\n'),
    ...(budgets.length > 0
      ? [['| budget | default | reason |', '| --- | --- | --- |', ...budgets].join('\n')]
      : []),
  ].join('\n\n');
}

export function renderChecksPage(suites: readonly Suite[]): string {
  return `${[
    '# The checks',
    'Made from the suites by `npm run page`. Verdicts, causes and budgets are explained in the [README](../README.md).',
    ...suites.flatMap((suite) => [`## ${suite.title}`, ...suite.checks.map(sectionOf)]),
    '## Causes',
    [
      '| cause | meaning |',
      '| --- | --- |',
      ...Object.entries(CAUSES).map(([code, text]) => `| \`${code}\` | ${text} |`),
    ].join('\n'),
  ].join('\n\n')}\n`;
}
