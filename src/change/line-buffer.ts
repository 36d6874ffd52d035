const tab = 9;
const newline = 10;
const backslash = 92;

/**
 * A growing buffer of bytes in PostgreSQL's COPY text format (https://www.postgresql.org/docs/current/sql-copy.html, "Text
 * Format"). Tabs separate columns, newlines end rows, and NULL is \N. Rows are written directly from the source's bytes, without
 * a JavaScript value in between.
 *
 * `bytes` and `length` are public because the readers in mapping/ write through them in the hottest loop. Code that writes to
 * `bytes` directly calls `reserve` before and updates `length` after.
 */
export class LineBuffer {
  bytes: Buffer;
  length = 0;

  constructor(capacity = 256 * 1024) {
    this.bytes = Buffer.allocUnsafeSlow(capacity);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }

  /** Copies bytes that are known to hold no backslash, tab, newline or carriage return: digits, dates, hex. */
  plain(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    let at = this.length;
    for (let i = start; i < end; i++) bytes[at++] = source[i] as number;
    this.length = at;
  }

  /** Writes ASCII text that needs no escaping. */
  ascii(text: string): void {
    this.reserve(text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /**
   * Copies UTF-8 bytes and escapes the characters that are special to COPY. U+0000 becomes U+FFFD, because PostgreSQL's text
   * cannot hold it. Returns the number of characters that were replaced.
   */
  text(source: Uint8Array, start: number, end: number): number {
    this.reserve((end - start) * 3);
    const { bytes } = this;
    let at = this.length;
    let replaced = 0;
    for (let i = start; i < end; i++) {
      const byte = source[i] as number;
      if (byte > 13 && byte !== backslash) {
        bytes[at++] = byte;
        continue;
      }
      switch (byte) {
        case backslash:
          bytes[at++] = backslash;
          bytes[at++] = backslash;
          break;
        case tab:
          bytes[at++] = backslash;
          bytes[at++] = 0x74;
          break;
        case newline:
          bytes[at++] = backslash;
          bytes[at++] = 0x6e;
          break;
        case 13:
          bytes[at++] = backslash;
          bytes[at++] = 0x72;
          break;
        case 0:
          bytes[at++] = 0xef;
          bytes[at++] = 0xbf;
          bytes[at++] = 0xbd;
          replaced++;
          break;
        default:
          bytes[at++] = byte;
      }
    }
    this.length = at;
    return replaced;
  }

  /** Writes bytes as PostgreSQL's hex form of bytea; the backslash of `\x` is doubled for COPY. */
  hex(source: Buffer, start: number, end: number): void {
    this.reserve((end - start) * 2 + 3);
    this.bytes[this.length++] = backslash;
    this.bytes[this.length++] = backslash;
    this.bytes[this.length++] = 0x78;
    // Node encodes hex natively; slices keep the intermediate string small for 16 MB blobs.
    for (let from = start; from < end; from += 65_536) {
      const text = source.toString('hex', from, Math.min(end, from + 65_536));
      this.length += this.bytes.write(text, this.length, 'latin1');
    }
  }

  null(): void {
    this.reserve(2);
    this.bytes[this.length++] = backslash;
    this.bytes[this.length++] = 0x4e;
  }

  tab(): void {
    this.reserve(1);
    this.bytes[this.length++] = tab;
  }

  newline(): void {
    this.reserve(1);
    this.bytes[this.length++] = newline;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Writes a safe integer in decimal. */
  integer(value: number): void {
    this.reserve(20);
    const { bytes } = this;
    let at = this.length;
    let rest = value;
    if (rest < 0) {
      bytes[at++] = 0x2d;
      rest = -rest;
    }
    if (rest < 10) {
      bytes[at++] = 0x30 + rest;
      this.length = at;
      return;
    }
    const first = at;
    while (rest > 0) {
      const tenth = Math.floor(rest / 10);
      bytes[at++] = 0x30 + (rest - tenth * 10);
      rest = tenth;
    }
    this.length = at;
    for (let left = first, right = at - 1; left < right; left++, right--) {
      const byte = bytes[left] as number;
      bytes[left] = bytes[right] as number;
      bytes[right] = byte;
    }
  }

  /** Writes exactly `width` decimal digits, with leading zeros. */
  digits(value: number, width: number): void {
    this.reserve(width);
    let rest = value;
    for (let i = this.length + width - 1; i >= this.length; i--) {
      const tenth = Math.floor(rest / 10);
      this.bytes[i] = 0x30 + (rest - tenth * 10);
      rest = tenth;
    }
    this.length += width;
  }
}
