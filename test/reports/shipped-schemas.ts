/** The JSON Schemas that are shipped. `node test/reports/shipped-schemas.ts` writes them, after a change of their source. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { asJsonSchema, comparisonSchema, recordLineSchema, reportSchema } from '../../reports/schemas.ts';

const reports = path.resolve(import.meta.dirname, '../../reports');

export const SHIPPED_SCHEMAS = [
  { file: path.join(reports, 'report.schema.json'), schema: asJsonSchema(reportSchema) },
  { file: path.join(reports, 'record.schema.json'), schema: asJsonSchema(recordLineSchema) },
  { file: path.join(reports, 'comparison.schema.json'), schema: asJsonSchema(comparisonSchema) },
];

if (import.meta.main) {
  for (const { file, schema } of SHIPPED_SCHEMAS) {
    writeFileSync(file, `${JSON.stringify(schema, undefined, 2)}\n`);
  }
}
