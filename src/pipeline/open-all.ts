interface Closable {
  close(): Promise<void>;
}

/** Opens connections one after the other. When one cannot be had, those before it are not left behind. */
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
