import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** PEM files of a test cluster on 127.0.0.1. */
export interface TestCertificates {
  /** The authority that signed the others. */
  readonly ca: string;
  /** For the members, with its key. */
  readonly server: { readonly cert: string; readonly key: string };
  /** For a client, with its key. */
  readonly client: { readonly cert: string; readonly key: string };
}

const run = promisify(execFile);

/**
 * Makes an authority, a server and a client certificate with the `openssl` program, valid for a day.
 *
 * @param folder - where the files go
 * @returns their paths
 */
export async function makeCertificates(folder: string): Promise<TestCertificates> {
  const at = (name: string): string => join(folder, name);
  const ca = { cert: at("ca.crt"), key: at("ca.key") };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const self = [
    "-x509",
    "-days",
    "1",
    "-subj",
    "/CN=loden test authority",
    "-keyout",
    ca.key,
    "-out",
    ca.cert,
  ];
  await run("openssl", ["req", ...newKey, ...self]);
  await writeFile(
    at("extensions"),
    "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n",
  );
  const sign = async (name: string): Promise<{ cert: string; key: string }> => {
    const [cert, key, request] = [at(`${name}.crt`), at(`${name}.key`), at(`${name}.csr`)];
    await run("openssl", ["req", ...newKey, "-subj", `/CN=${name}`, "-keyout", key, "-out", request]);
    const by = [
      "-CA",
      ca.cert,
      "-CAkey",
      ca.key,
      "-CAcreateserial",
      "-days",
      "1",
      "-extfile",
      at("extensions"),
    ];
    await run("openssl", ["x509", "-req", "-in", request, ...by, "-out", cert]);
    return { cert, key };
  };
  return { ca: ca.cert, server: await sign("server"), client: await sign("client") };
}

/**
 * Reads what a client needs.
 *
 * @param certificates - the paths
 * @param withClient - whether the client shows a certificate of its own
 * @returns PEM texts
 */
export async function readClientTls(
  { ca, client }: TestCertificates,
  withClient: boolean,
): Promise<{ ca: string; cert?: string; key?: string }> {
  if (!withClient) return { ca: await readFile(ca, "utf8") };
  return {
    ca: await readFile(ca, "utf8"),
    cert: await readFile(client.cert, "utf8"),
    key: await readFile(client.key, "utf8"),
  };
}
