import { connect } from 'node:net';

/** Whether a process accepts connections on this Unix socket. */
export function acceptsConnections(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Sends one line to a Unix socket and reads one line back. @throws Error naming the socket */
export function askOverSocket(socketPath: string, line: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    const fail = (what: string): void => {
      socket.destroy();
      reject(new Error(`${socketPath}: ${what}`));
    };
    let answer = '';
    socket.setEncoding('utf8').setTimeout(timeoutMs, () => fail('no answer in time'));
    socket.once('connect', () => socket.write(`${line}\n`));
    socket.once('error', (error) => fail(error.message));
    socket.once('end', () => fail('closed without an answer'));
    socket.on('data', (chunk: string) => {
      answer += chunk;
      const end = answer.indexOf('\n');
      if (end === -1) return;
      socket.destroy();
      resolve(answer.slice(0, end));
    });
  });
}
