import { suggest } from '../../config/nearest.ts';
import { choicesOf } from '../../config/names.ts';
import type { AnyCheck } from '../../model/check.ts';
import { UserError } from '../../model/errors.ts';
import type { FaultExpectation, FaultKind } from '../../model/fault.ts';
import { defaultProfiles } from '../../profile/index.ts';
import { drillable } from '../../run/drill.ts';
import { declaredBudgets } from '../../run/plan.ts';
import { SUITES } from '../../../suites/index.ts';
import { partsOf } from '../compose.ts';
import { defaultSpec } from '../configuration.ts';
import { faint, heading, say, sayJson, table } from '../print.ts';
import { LISTS, type ListName } from '../program.ts';

/** A list as data, and as a person reads it. */
interface Listing {
  readonly data: unknown;
  readonly text: () => string;
}

const LISTINGS: Readonly<Record<ListName, () => Listing>> = {
  profiles: listProfiles,
  suites: listSuites,
  checks: listChecks,
  faults: listFaults,
};

/** @throws UserError when there is no such list */
export async function list(what: string, json: boolean): Promise<number> {
  const name = LISTS.find((known) => known === what);
  if (!name)
    throw new UserError(`There is no list of "${what}"`, { where: what, remedy: suggest(what, LISTS) });
  const { data, text } = LISTINGS[name]();
  if (json) sayJson(data);
  else say(text());
  return 0;
}

function listProfiles(): Listing {
  const data = defaultProfiles().map(({ name, conformanceClass, features }) => ({
    name,
    summary: choicesOf('profile').find((choice) => choice.name === name)?.summary ?? '',
    class: conformanceClass,
    features,
  }));
  return {
    data,
    text: () => table(data.map((profile) => [profile.name, profile.class, profile.summary])),
  };
}

function listSuites(): Listing {
  const data = SUITES.map(({ id, title, checks }) => ({
    id,
    title,
    core: checks.filter((check) => check.level === 'core').length,
    extended: checks.filter((check) => check.level === 'extended').length,
  }));
  return {
    data,
    text: () =>
      table([
        ['suite', 'core', 'extended', ''].map(faint),
        ...data.map(({ id, title, core, extended }) => [id, String(core), String(extended), title]),
      ]),
  };
}

function listChecks(): Listing {
  return {
    data: SUITES.flatMap(({ id, checks }) => checks.map((check) => describeCheck(id, check))),
    text: () =>
      [
        ...SUITES.map(({ id, title, checks }) =>
          [
            `${heading(id)}  ${title}`,
            table(checks.map((check) => [check.id, check.level, check.scope, check.title])),
          ].join('\n'),
        ),
        faint('Budgets, hints and the faults that each check must notice: list checks --json'),
      ].join('\n\n'),
  };
}

function describeCheck(suite: string, check: AnyCheck): Record<string, unknown> {
  const { id, title, level, scope, classes, requires, dependsOn, paths, exclusive, hint, reference } = check;
  return {
    id,
    suite,
    title,
    level,
    scope,
    classes: classes ?? 'all',
    requires: requires ?? [],
    dependsOn: dependsOn ?? [],
    ...(scope === 'pair' && { paths: paths ?? ['direct', 'via'] }),
    exclusive: exclusive ?? 'none',
    budgets: declaredBudgets(check),
    faults: faultsOf(check),
    hint,
    ...(reference !== undefined && { reference }),
  };
}

const faultsOf = (check: AnyCheck): readonly FaultExpectation[] => check.faults ?? [];

/** Each fault that can be drilled or that some check must notice, with the cause it must name. */
function listFaults(): Listing {
  const expectations = SUITES.flatMap(({ checks }) =>
    checks.flatMap((check) =>
      faultsOf(check).map(({ kind, cause }) => ({
        kind,
        check: check.id,
        cause,
      })),
    ),
  );
  const byKind: ReadonlyMap<FaultKind, typeof expectations> = Map.groupBy(expectations, ({ kind }) => kind);
  const injectable = new Set(drillable(partsOf(defaultSpec())));
  const data = [...new Set([...injectable, ...byKind.keys()])].toSorted().map((kind) => ({
    kind,
    /** By the default provider, underlay and profile. */
    injectable: injectable.has(kind),
    noticedBy: (byKind.get(kind) ?? []).map(({ check, cause }) => ({ check, cause })),
  }));
  return {
    data,
    text: () =>
      data
        .map(({ kind, injectable: known, noticedBy }) =>
          [
            `${heading(kind)}${known ? '' : faint('  nothing injects it by default')}`,
            noticedBy.length === 0
              ? faint('  for drills; no check names it')
              : table(noticedBy.map(({ check, cause }) => [check, faint(cause)])),
          ].join('\n'),
        )
        .join('\n\n'),
  };
}
