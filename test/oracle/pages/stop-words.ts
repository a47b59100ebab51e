/**
 * Function words of 20 languages: prose is full of them, menus and lists of links are not.
 *
 * A short list a language, most frequent words first, no attempt at completeness. Words are looked up by the scan's
 * hash; a collision costs one wrong count.
 */
import { hashWord } from '../../../src/lines/hash.ts';

const STOP_WORDS = `
the of and to in is that it for was as with be by on not he his but at are this have from or had an they which you
were her she there would their we him been has when who will no if out so said what its about than them can only other
could these may then do my over such our me also did must before should because those under never while i was us
der die und das den von zu ist mit sich des auf für nicht ein eine als auch es an werden aus er hat dass sie nach wird bei
einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man sein wurde wenn
le la les de des et un une est que qui dans pour pas sur ce il au plus ne par avec se sont du en son à elle ont mais nous
vous leur cette ces été comme ou si aux être 
el los del las por con una su para es al lo como más o pero sus ya este sí porque esta entre cuando muy sin sobre también me
hasta hay donde quien desde todo nos durante y e se no un
il di che è non per della sono nel alla dei anche da più come ma gli ha delle si con dal questo nella lo ed le al i
do da não uma os no se na por mais as dos como mas foi ao ele das tem à seu sua ou ser quando muito há nos já está também
de het een van en dat niet op te zijn voor met die aan er maar om hij bij ook uit nog naar dan wordt is was door ze
och att det som en på är av för med den till inte har de ett om var sig men så han från vi kan jag
og i at er det som en til på for med av ikke den har de om et var men fra han vi seg
w i na nie się z do to że jest o jak ale po co przez od za tak by już są dla tym oraz czy jego lub
и в не на что с он как это по но из у за от так же для все бы то был к о она мы
bir ve bu da de için ile çok olarak daha gibi ne var olan kadar sonra ama her o
yang dan di untuk dengan ini dari tidak pada dalam adalah akan juga itu ke oleh sebagai ada atau
và của là có trong cho một không được các với người này những đã để
ja on ei se että oli hän mutta ovat kun niin myös tai kuin joka
a je se na že s v to i o za kao od ne su ali koji da bi iz
az és hogy nem egy is ez volt van de csak meg már el mint
και το να του η της με που για από τα την στο είναι δεν
في من على أن إلى هذا التي الذي عن مع كان لا ما هو قد أو
है के में की से और का को पर ने यह कि भी हैं था एक
的 了 是 在 和 不 我 有 他 这 也 就 你 们 我们 着 与 及 但 而 对 之
の に は を が で と も た し て な い る か ら れ
`;

/** Open addressing over a power of two well above the number of words. */
const TABLE_SIZE = 4096;
const table = new Int32Array(TABLE_SIZE);
const taken = new Uint8Array(TABLE_SIZE);
let isFilled = false;

/** True when `hash` is that of a stop word. */
export function isStopWord(hash: number): boolean {
  if (!isFilled) fill();
  for (let slot = (hash ^ (hash >>> 15)) & (TABLE_SIZE - 1); taken[slot] === 1; ) {
    if (table[slot] === hash) return true;
    slot = (slot + 1) & (TABLE_SIZE - 1);
  }
  return false;
}

function fill(): void {
  isFilled = true;
  for (const word of STOP_WORDS.split(/\s+/)) {
    if (word === '') continue;
    // Scripts without spaces are scanned by character.
    const hash = hashWord(word);
    if (isStopWord(hash)) continue;
    let slot = (hash ^ (hash >>> 15)) & (TABLE_SIZE - 1);
    while (taken[slot] === 1) slot = (slot + 1) & (TABLE_SIZE - 1);
    table[slot] = hash;
    taken[slot] = 1;
  }
}
