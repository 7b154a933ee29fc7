// @ts-check
/** `npm run generate`: writes the message codecs (`*.gen.ts`) beside their schemas. */
import { checkNode, ensureInstalled, root } from './lib/build.mjs'
import { generateInto } from './lib/generated.mjs'

checkNode()
ensureInstalled()
const { ok, output } = generateInto(root)
process.stderr.write(output)
process.exit(ok ? 0 : 1)
