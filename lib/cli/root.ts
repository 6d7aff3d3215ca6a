import { fileURLToPath } from 'node:url';

/** Of the package: this file is below lib/cli/, or bundled into dist/ or dist/chunks/. */
export const PACKAGE_ROOT = fileURLToPath(
  import.meta.url.replace(/(?:lib\/cli|dist(?:\/chunks)?)\/[^/]*$/, ''),
);
