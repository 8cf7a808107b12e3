// The packages of the tests. They are installed outside the repository's sources, where EMCRM_BROWSER_PACKAGES says.
import { createRequire } from 'node:module';

const folder = process.env.EMCRM_BROWSER_PACKAGES;
if (!folder) throw new Error('EMCRM_BROWSER_PACKAGES is not set; run the tests by ./dev.sh test browser');
const require = createRequire(`${folder}/`);

export const { chromium } = require('playwright-core');
export const AxeBuilder = require('@axe-core/playwright').default;
export const { HtmlValidate } = require('html-validate');
