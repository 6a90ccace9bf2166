// Puts the project's licence into the package.
import { copyFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
copyFileSync(join(root, '..', '..', 'LICENSE'), join(root, 'LICENSE'));
