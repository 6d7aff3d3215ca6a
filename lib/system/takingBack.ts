/**
 * Once a run is ended from outside nobody asks anything more, except to take back what the run has changed: whoever does
 * that says so here, and it is true of all that is called on the way, whatever room it lies in.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

const taking = new AsyncLocalStorage<true>();

export const takingBack = <T>(action: () => T): T => taking.run(true, action);

export const isTakingBack = (): boolean => taking.getStore() === true;
