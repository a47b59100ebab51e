#include "pages/stop_words.h"

#include <array>
#include <string_view>

#include "pages/hash.h"

namespace gristmill::pages {

namespace {

// clang-format off
constexpr std::u16string_view kStopWords = uR"(
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
)";
// clang-format on

constexpr uint32_t kSize = 4096;  // a power of two well above the number of words

// Open addressing.
struct Table {
  std::array<uint32_t, kSize> hashes{};
  std::array<bool, kSize> taken{};

  static uint32_t SlotOf(uint32_t hash) { return (hash ^ (hash >> 15)) & (kSize - 1); }

  bool Has(uint32_t hash) const {
    for (uint32_t slot = SlotOf(hash); taken[slot]; slot = (slot + 1) & (kSize - 1)) {
      if (hashes[slot] == hash) return true;
    }
    return false;
  }

  void Add(uint32_t hash) {
    if (Has(hash)) return;
    uint32_t slot = SlotOf(hash);
    while (taken[slot]) slot = (slot + 1) & (kSize - 1);
    hashes[slot] = hash;
    taken[slot] = true;
  }
};

Table MakeTable() {
  Table table;
  uint32_t hash = kFnvBase;
  bool in_word = false;
  for (const char16_t unit : kStopWords) {
    if (unit != u' ' && unit != u'\n') {
      hash = HashUnit(hash, unit);
      in_word = true;
      continue;
    }
    if (in_word) table.Add(hash);
    hash = kFnvBase;
    in_word = false;
  }
  return table;
}

}  // namespace

bool IsStopWord(uint32_t hash) {
  static const Table table = MakeTable();
  return table.Has(hash);
}

}  // namespace gristmill::pages
