/** Where the command line finds the service, and with which token: from the environment, like every other setting. */

type Env = Readonly<Record<string, string | undefined>>;

export interface ClientSettings {
  /** Without a final slash. */
  readonly url: string;
  readonly token: string;
}

const defaultUrl = "http://127.0.0.1:9095";

/** `PARAMEDIC_URL` and `PARAMEDIC_TOKEN`, or what is missing and how to give it. */
export function clientSettings(options: {
  readonly url: string | null;
  readonly env?: Env;
}): { readonly settings: ClientSettings } | { readonly problem: string } {
  const { env = process.env } = options;
  const url = (options.url ?? env["PARAMEDIC_URL"] ?? defaultUrl).replace(/\/+$/, "");
  if (!URL.canParse(url) || !/^https?:/.test(url))
    return { problem: `'${url}' is no http address; correct --url or PARAMEDIC_URL` };
  const token = env["PARAMEDIC_TOKEN"]?.trim() ?? "";
  if (token === "")
    return { problem: "PARAMEDIC_TOKEN is not set; set it to the secret of one of the tokens under api.tokens" };
  return { settings: { url, token } };
}
