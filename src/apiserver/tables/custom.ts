import { isJson, type StoredObject } from '../object.ts';
import { servedCrds } from '../schema/crds.ts';
import { ageColumn, type Column, createdColumn, type Printer, printer, text } from './columns.ts';

/** The columns that the definitions of custom resources ask for (additionalPrinterColumns), by `plural.group`. */
export const customPrinters = (): ReadonlyMap<string, Printer> =>
  new Map(
    servedCrds().map(({ spec }) => {
      const columns = spec.versions[0]?.additionalPrinterColumns?.map(columnOf) ?? [createdColumn()];
      return [`${spec.names.plural}.${spec.group}`, printer(columns)];
    }),
  );

/** @param jsonPath names after dots, which is all that those definitions use */
function columnOf({ name, type, jsonPath }: { name: string; type: string; jsonPath: string }): Column<StoredObject> {
  if (type === 'date') return { ...ageColumn<StoredObject>(), name };
  const path = jsonPath.split('.').slice(1);
  return text(name, (object) => {
    const value = path.reduce<unknown>((at, member) => (isJson(at) ? at[member] : undefined), object);
    return value === undefined ? '' : String(value);
  });
}
