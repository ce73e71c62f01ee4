/** The rows that a statement is given, as tables of its own: columns go by their names, and the parameters' numbers are nobody's business. */

type ColumnTypes = Readonly<Record<string, string>>;
type Tables = Readonly<Record<string, ColumnTypes>>;
type Row<Types extends ColumnTypes> = { readonly [Column in keyof Types]: unknown };

export interface Given<T extends Tables> {
  /** What stands behind FROM: `unnest($1::uuid[], $2::int[]) AS told(id, fence)`. */
  readonly from: { readonly [Name in keyof T]: string };
  /** The names of a table's columns: `id, fence`. */
  readonly columns: { readonly [Name in keyof T]: string };
  /** One column as an array, for `= ANY(…)`: `$1::uuid[]`. */
  readonly array: { readonly [Name in keyof T]: { readonly [Column in keyof T[Name]]: string } };
  /** The values of the parameters, in their order. */
  values(rows: { readonly [Name in keyof T]: readonly Row<T[Name]>[] }): unknown[][];
}

/** Describes the tables by the Postgres types of their columns, as in `{ told: { id: "uuid", fence: "int" } }`. */
export function given<const T extends Tables>(tables: T): Given<T> {
  let parameter = 0;
  const described = Object.entries(tables).map(([name, types]) => {
    const columns = Object.keys(types);
    const arrays = columns.map((column) => [column, `$${++parameter}::${types[column]}[]`] as const);
    return { name, columns, arrays };
  });
  const by = <Value>(value: (one: (typeof described)[number]) => Value) =>
    Object.fromEntries(described.map((one) => [one.name, value(one)]));
  return {
    from: by(
      ({ name, columns, arrays }) =>
        `unnest(${arrays.map(([, array]) => array).join(", ")}) AS ${name}(${columns.join(", ")})`,
    ),
    columns: by(({ columns }) => columns.join(", ")),
    array: by(({ arrays }) => Object.fromEntries(arrays)),
    values: (rows) =>
      described.flatMap(({ name, columns }) =>
        columns.map((column) => (rows[name] as readonly Row<ColumnTypes>[]).map((row) => row[column])),
      ),
  } as Given<T>;
}
