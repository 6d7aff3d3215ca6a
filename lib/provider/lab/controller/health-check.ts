/**
 * As much HTTP/1.1 as a controller needs, on plain sockets: a hundred controllers run side by side, and `node:http` would
 * cost each of them 15 MB and twice the start time.
 */
import { connect } from 'node:net';
import { messageOf } from '../../../model/errors.ts';

const HEADER_LIMIT = 8 * 1024;

const requestFor = (address: string, port: number, path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: ${address.includes(':') ? `[${address}]` : address}:${port}\r\nConnection: close\r\n\r\n`;

/** @returns undefined when the answer is a status 200 in time, else why not, for people */
export function checkHealth(
  address: string,
  port: number,
  path: string,
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let received = '';
    const end = (failure: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(failure);
    };
    const timer = setTimeout(() => end(`no answer in ${timeoutMs} ms`), timeoutMs);
    socket.setEncoding('latin1');
    socket.on('connect', () => socket.write(requestFor(address, port, path)));
    socket.on('data', (chunk: string) => {
      received += chunk;
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(received)?.[1];
      if (status !== undefined) end(status === '200' ? undefined : `HTTP status ${status}`);
      else if (received.length > HEADER_LIMIT || received.includes('\r\n')) end('no HTTP answer');
    });
    socket.on('error', (error) => end(messageOf(error)));
    socket.on('close', () => end('closed without an answer'));
  });
}
