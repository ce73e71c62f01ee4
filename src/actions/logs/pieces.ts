/** Reads a file, compressed or not, in pieces: some ahead of the one that is being looked at, in memory that is used again. */

import type { FileHandle } from "node:fs/promises";
import { createGunzip } from "node:zlib";

const pieceBytes = 4 * 1024 * 1024;
const ahead = 3;

/** Before each piece so many bytes are free, for what is left of the piece before. */
export const headroom = 1024 * 1024;

/** `size` bytes of a file, which stand in `buffer` after the headroom, until the next piece is asked for. */
export interface Piece {
  readonly buffer: Buffer;
  readonly size: number;
}

/** The pieces of a file as it is. */
export async function* piecesOf(file: FileHandle): AsyncGenerator<Piece> {
  let position = 0;
  const begin = async (buffer: Buffer): Promise<Piece> => {
    const at = position;
    position += pieceBytes;
    let size = 0;
    // A read may come back short before the end.
    for (let read = -1; read !== 0 && size < pieceBytes; size += read) {
      read = (await file.read(buffer, headroom + size, pieceBytes - size, at + size)).bytesRead;
    }
    return { buffer, size };
  };
  const buffers = Array.from({ length: ahead }, () => Buffer.allocUnsafeSlow(headroom + pieceBytes));
  const pending = buffers.map(begin);
  // One that fails while another is looked at is not unhandled; it is thrown when it is awaited.
  for (const piece of pending) piece.catch(() => undefined);
  try {
    for (let next = 0; ; next = (next + 1) % ahead) {
      const piece = await (pending[next] as Promise<Piece>);
      if (piece.size > 0) yield piece;
      if (piece.size < pieceBytes) return;
      const following = begin(piece.buffer);
      following.catch(() => undefined);
      pending[next] = following;
    }
  } finally {
    await Promise.allSettled(pending);
  }
}

/** The pieces of what a gzip file holds. Throws where it is damaged or ends too early, after what could be read. */
export async function* unzippedPiecesOf(file: FileHandle): AsyncGenerator<Piece> {
  const compressed = file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 });
  const plain = createGunzip({ chunkSize: 256 * 1024 });
  const buffer = Buffer.allocUnsafeSlow(headroom + 256 * 1024);
  compressed.once("error", (error) => plain.destroy(error));
  compressed.pipe(plain);
  try {
    for await (const chunk of plain as AsyncIterable<Buffer>) {
      chunk.copy(buffer, headroom);
      yield { buffer, size: chunk.length };
    }
  } finally {
    compressed.destroy();
    plain.destroy();
  }
}
