/**
 * A limit for packets that a rule sorts out, with a short queue; all others pass beside it. A policer of nftables would be
 * simpler, but its bucket holds a whole second: twice the rate for the second that a measurement lasts. Pure.
 */

/** Statement of nftables that sorts a packet into the limited class. */
export const SORTED = 'counter meta priority set 1:10';

const SHAPED_CLASS = '1:10';
const BURST_BYTES = 16_000;
/** A few of the largest packets that a kernel hands on before it cuts them (64 KiB). */
const QUEUE_BYTES = 200_000;
/** So much at once has to wait, whatever the limit. */
export const WAITING_BYTES = 240_000;

/** What `tc -batch -` reads. @param device has no queue of its own yet */
export const renderShaper = (device: string, megabits: number): string =>
  [
    `qdisc add dev ${device} root handle 1: htb`,
    `class add dev ${device} parent 1: classid ${SHAPED_CLASS} htb rate ${megabits}mbit burst ${BURST_BYTES} cburst ${BURST_BYTES}`,
    `qdisc add dev ${device} parent ${SHAPED_CLASS} bfifo limit ${QUEUE_BYTES}`,
    '',
  ].join('\n');

/** For a shell. */
export const renderRemoval = (device: string): string =>
  `tc qdisc del dev ${device} root handle 1: 2> /dev/null || true\n`;

export const showShaper = (device: string): readonly [string, ...string[]] => [
  'tc',
  '-s',
  '-j',
  'qdisc',
  'show',
  'dev',
  device,
];

/** Whether anything had to wait because of the limit. @param shown what `showShaper` printed */
export function hasLimited(shown: string): boolean {
  const queues = JSON.parse(shown || '[]') as { kind?: string; overlimits?: number }[];
  return queues.some(({ kind, overlimits = 0 }) => kind === 'htb' && overlimits > 0);
}
