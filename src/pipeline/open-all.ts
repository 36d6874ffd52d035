interface Closable {
  close(): Promise<void>;
}

/** Opens connections in order. If one fails to open, those before it are closed. */
export async function openAll<T extends readonly Closable[]>(
  ...open: { readonly [K in keyof T]: () => Promise<T[K]> }
): Promise<T> {
  const opened: Closable[] = [];
  try {
    for (const each of open) opened.push(await each());
  } catch (error) {
    await Promise.all(opened.map(async (connection) => await connection.close()));
    throw error;
  }
  return opened as unknown as T;
}
