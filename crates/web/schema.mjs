// Writes the API's types from its description, openapi.json.
import { readFileSync, writeFileSync } from 'node:fs';
import openapiTS, { astToString } from 'openapi-typescript';

const document = JSON.parse(readFileSync(new URL('openapi.json', import.meta.url), 'utf8'));
// The generator keeps operations by their ids, and several have the same: without ids it keeps each.
for (const path of Object.values(document.paths)) {
  for (const operation of Object.values(path)) delete operation.operationId;
}
const types = astToString(await openapiTS(document));
writeFileSync(new URL('src/lib/api/schema.d.ts', import.meta.url), types);
