/** How help reads: what it is for, how it is used, then every flag. Wrapped to the terminal. */
import { styleText } from 'node:util';
import {
  type CommandUnknownOpts,
  Help,
  type HelpConfiguration,
  type Option,
} from '@commander-js/extra-typings';

/** What an example does, and the command. */
export type Example = readonly [does: string, command: string];

export interface HelpTexts {
  readonly examples: readonly Example[];
  /** Sections after the flags: title and paragraphs. */
  readonly notes?: readonly (readonly [title: string, text: string])[];
}

const UNGROUPED = '';

/** @param textsOf by name of the command */
export function helpConfiguration(textsOf: (name: string) => HelpTexts | undefined): HelpConfiguration {
  return {
    visibleOptions: ownOptionsAndThoseOfRun,
    subcommandTerm: (command) => [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
    styleTitle: (title) => styleText('bold', title, { validateStream: false }),
    // Commander calls it on the help object, which carries the settings above.
    formatHelp: (command, helper) => formatHelp(command, helper, textsOf(command.name())),
  };
}

const argumentTerm = (argument: {
  name(): string;
  readonly required: boolean;
  readonly variadic: boolean;
}): string => {
  const name = `${argument.name()}${argument.variadic ? '…' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
};

function formatHelp(command: CommandUnknownOpts, helper: Help, texts: HelpTexts | undefined): string {
  const width = helper.helpWidth ?? 80;
  const termWidth = helper.padWidth(command, helper);
  const item = (term: string, description: string): string =>
    helper.formatItem(term, termWidth, description, helper);
  const section = (title: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : ['', helper.styleTitle(title), ...lines];
  const groups = Map.groupBy(
    helper.visibleOptions(command),
    (option) => option.helpGroupHeading ?? UNGROUPED,
  );
  return [
    `${helper.styleTitle('Usage:')} ${helper.commandUsage(command)}`,
    '',
    helper.boxWrap(helper.commandDescription(command), width),
    ...section(
      'Examples:',
      (texts?.examples ?? []).flatMap(([does, line]) => [`  ${does}:`, `    ${line}`]),
    ),
    ...section(
      'Commands:',
      helper
        .visibleCommands(command)
        .map((one) => item(helper.subcommandTerm(one), helper.subcommandDescription(one))),
    ),
    ...section(
      'Arguments:',
      helper.visibleArguments(command).map((one) => item(argumentTerm(one), helper.argumentDescription(one))),
    ),
    ...[...groups].flatMap(([title, options]) =>
      section(
        title || (groups.size === 1 ? 'Flags:' : 'Other:'),
        options.map((option) => item(helper.optionTerm(option), helper.optionDescription(option))),
      ),
    ),
    ...(texts?.notes ?? []).flatMap(([title, text]) =>
      section(title, [indent(helper.boxWrap(text, width - 2))]),
    ),
    '',
  ].join('\n');
}

const indent = (text: string): string => text.replaceAll(/^(?=.)/gm, '  ');

/** `run` is the default command: a newcomer looks for its flags in the first help. */
function ownOptionsAndThoseOfRun(command: CommandUnknownOpts): Option[] {
  const help = new Help();
  const own = help.visibleOptions(command);
  const run = command.commands.find((child) => child.name() === 'run');
  const flags = run ? help.visibleOptions(run).filter((option) => option.long !== '--help') : [];
  return [...flags, ...own];
}
