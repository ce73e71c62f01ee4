/** The name of a unit as playbooks may give it: only what can be a name at all. What may be acted upon is the target's list. */

import { z } from "zod";

export const unitInput = z
  .string()
  .max(255)
  .regex(
    /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|target|path|mount|slice|scope)$/,
    "must be the full name of one systemd unit, such as nginx.service",
  );

export const serviceInput = z
  .string()
  .max(255)
  .regex(
    /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.service$/,
    "must be the full name of one service, such as nginx.service",
  );
