/** Writes the JSON Schemas that are shipped: `node test/reports/write-schemas.ts`, after a change of their source. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { asJsonSchema, recordLineSchema, reportSchema } from '../../reports/schemas.ts';

const reports = path.resolve(import.meta.dirname, '../../reports');
for (const [name, schema] of Object.entries({ report: reportSchema, record: recordLineSchema })) {
  writeFileSync(
    path.join(reports, `${name}.schema.json`),
    `${JSON.stringify(asJsonSchema(schema), undefined, 2)}\n`,
  );
}
