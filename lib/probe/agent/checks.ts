/** Requests as they come over the socket are checked before they reach a program's command line or a socket. */
import net from 'node:net';
import { isRecord } from '../protocol.ts';

/** @throws TypeError saying what is wrong with which value */
export function checkAddress(value: unknown): string {
  if (typeof value !== 'string' || net.isIP(value) === 0) {
    throw new TypeError(`address: ${JSON.stringify(value)} is not an IP address`);
  }
  return value;
}

export function checkNumber(name: string, value: unknown, lowest: number, highest: number): number {
  if (typeof value !== 'number' || !(value >= lowest && value <= highest)) {
    throw new TypeError(`${name}: ${JSON.stringify(value)} is not a number from ${lowest} to ${highest}`);
  }
  return value;
}

export function checkInteger(name: string, value: unknown, lowest: number, highest: number): number {
  const number = checkNumber(name, value, lowest, highest);
  if (!Number.isInteger(number)) throw new TypeError(`${name}: ${number} is not whole`);
  return number;
}

export const checkPort = (value: unknown): number => checkInteger('port', value, 1, 65_535);

const LONGEST_TIMEOUT_MS = 600_000;

export function checkTimeout(value: unknown, whenAbsent: number): number {
  return value === undefined ? whenAbsent : checkNumber('timeoutMs', value, 1, LONGEST_TIMEOUT_MS);
}

export function checkList(name: string, value: unknown, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most) {
    throw new TypeError(`${name}: a list of at most ${most} is expected`);
  }
  return value;
}

export function checkRecord(name: string, value: unknown): Record<string, unknown> {
  if (!isRecord(value)) throw new TypeError(`${name}: an object is expected`);
  return value;
}
