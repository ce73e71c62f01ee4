/** The shape of everything that is stored, sent or hashed: plain JSON. */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: Json;
}
