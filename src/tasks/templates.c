/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts in our own wording, a language each. {names} are filled in from a question's fields
 * (prompt.c); XNLI's options are the lines that begin with "(1) ". */
#include <string.h>

#include "tasks/task_table.h"

typedef struct Template {
  const char *lang, *text;
} Template;

/* clang-format off */
static const Template xnli[] = {
    {"ar", "اقرأ الجملتين. هل تستلزم الجملة الأولى الثانية، أم تناقضها، أم لا هذا ولا ذاك؟\n\nالجملة الأولى: {premise}\nالجملة الثانية: {hypothesis}\n\n(1) استلزام\n(2) حياد\n(3) تناقض\n\nالجواب:"},
    {"bg", "Прочетете двете изречения. Следва ли второто от първото, противоречи ли му, или нито едно от двете?\n\nПърво изречение: {premise}\nВторо изречение: {hypothesis}\n\n(1) Следване\n(2) Неутралност\n(3) Противоречие\n\nОтговор:"},
    {"de", "Lesen Sie die beiden Sätze. Folgt der zweite aus dem ersten, widerspricht er ihm, oder keins von beiden?\n\nErster Satz: {premise}\nZweiter Satz: {hypothesis}\n\n(1) Folgerung\n(2) Neutral\n(3) Widerspruch\n\nAntwort:"},
    {"el", "Διαβάστε τις δύο προτάσεις. Η δεύτερη προκύπτει από την πρώτη, την αντικρούει ή τίποτα από τα δύο;\n\nΠρώτη πρόταση: {premise}\nΔεύτερη πρόταση: {hypothesis}\n\n(1) Συνεπαγωγή\n(2) Ουδετερότητα\n(3) Αντίφαση\n\nΑπάντηση:"},
    {"en", "Read the two sentences. Does the second follow from the first, contradict it, or neither?\n\nFirst sentence: {premise}\nSecond sentence: {hypothesis}\n\n(1) Entailment\n(2) Neutral\n(3) Contradiction\n\nAnswer:"},
    {"es", "Lea las dos oraciones. ¿La segunda se deduce de la primera, la contradice o ninguna de las dos cosas?\n\nPrimera oración: {premise}\nSegunda oración: {hypothesis}\n\n(1) Implicación\n(2) Neutralidad\n(3) Contradicción\n\nRespuesta:"},
    {"fr", "Lisez les deux phrases. La seconde découle-t-elle de la première, la contredit-elle, ou ni l'un ni l'autre ?\n\nPremière phrase : {premise}\nSeconde phrase : {hypothesis}\n\n(1) Implication\n(2) Neutralité\n(3) Contradiction\n\nRéponse :"},
    {"hi", "दोनों वाक्य पढ़ें। क्या दूसरा वाक्य पहले से निकलता है, उसका खंडन करता है, या दोनों में से कुछ नहीं?\n\nपहला वाक्य: {premise}\nदूसरा वाक्य: {hypothesis}\n\n(1) निष्कर्ष\n(2) तटस्थ\n(3) विरोध\n\nउत्तर:"},
    {"ru", "Прочитайте два предложения. Следует ли второе из первого, противоречит ли ему или ни то ни другое?\n\nПервое предложение: {premise}\nВторое предложение: {hypothesis}\n\n(1) Следование\n(2) Нейтральность\n(3) Противоречие\n\nОтвет:"},
    {"sw", "Soma sentensi hizi mbili. Je, ya pili inafuata kutokana na ya kwanza, inaipinga, au hakuna kati ya hayo?\n\nSentensi ya kwanza: {premise}\nSentensi ya pili: {hypothesis}\n\n(1) Inafuata\n(2) Haiegemei upande\n(3) Inapinga\n\nJibu:"},
    {"tr", "İki cümleyi okuyun. İkincisi birincisinden çıkıyor mu, onunla çelişiyor mu, yoksa hiçbiri mi?\n\nBirinci cümle: {premise}\nİkinci cümle: {hypothesis}\n\n(1) Çıkarım\n(2) Nötr\n(3) Çelişki\n\nCevap:"},
    {"ur", "دونوں جملے پڑھیں۔ کیا دوسرا جملہ پہلے سے نکلتا ہے، اس کی تردید کرتا ہے، یا دونوں میں سے کچھ نہیں؟\n\nپہلا جملہ: {premise}\nدوسرا جملہ: {hypothesis}\n\n(1) نتیجہ\n(2) غیر متعلق\n(3) تردید\n\nجواب:"},
    {"vi", "Hãy đọc hai câu sau. Câu thứ hai suy ra được từ câu thứ nhất, mâu thuẫn với nó, hay không phải cả hai?\n\nCâu thứ nhất: {premise}\nCâu thứ hai: {hypothesis}\n\n(1) Suy ra\n(2) Trung lập\n(3) Mâu thuẫn\n\nTrả lời:"},
    {"zh", "请阅读下面两个句子。第二句能由第一句推出、与第一句矛盾，还是两者都不是？\n\n第一句：{premise}\n第二句：{hypothesis}\n\n(1) 推出\n(2) 中立\n(3) 矛盾\n\n答案："},
    {NULL, NULL},
};

static const Template xquad[] = {
    {"ar", "اقرأ النص ثم أجب عن السؤال ببضع كلمات منه.\n\nالنص: {context}\n\nالسؤال: {question}\n\nالجواب:"},
    {"de", "Lesen Sie den Text und beantworten Sie die Frage mit wenigen Worten daraus.\n\nText: {context}\n\nFrage: {question}\n\nAntwort:"},
    {"el", "Διαβάστε το κείμενο και απαντήστε στην ερώτηση με λίγες λέξεις από αυτό.\n\nΚείμενο: {context}\n\nΕρώτηση: {question}\n\nΑπάντηση:"},
    {"en", "Read the text and answer the question with a few words from it.\n\nText: {context}\n\nQuestion: {question}\n\nAnswer:"},
    {"es", "Lea el texto y responda a la pregunta con unas pocas palabras de él.\n\nTexto: {context}\n\nPregunta: {question}\n\nRespuesta:"},
    {"hi", "पाठ पढ़ें और उसी के कुछ शब्दों में प्रश्न का उत्तर दें।\n\nपाठ: {context}\n\nप्रश्न: {question}\n\nउत्तर:"},
    {"ro", "Citiți textul și răspundeți la întrebare cu câteva cuvinte din el.\n\nText: {context}\n\nÎntrebare: {question}\n\nRăspuns:"},
    {"ru", "Прочитайте текст и ответьте на вопрос несколькими словами из него.\n\nТекст: {context}\n\nВопрос: {question}\n\nОтвет:"},
    {"th", "อ่านข้อความแล้วตอบคำถามด้วยคำไม่กี่คำจากข้อความนั้น\n\nข้อความ: {context}\n\nคำถาม: {question}\n\nคำตอบ:"},
    {"tr", "Metni okuyun ve soruyu metinden birkaç kelimeyle cevaplayın.\n\nMetin: {context}\n\nSoru: {question}\n\nCevap:"},
    {"vi", "Hãy đọc đoạn văn và trả lời câu hỏi bằng vài từ trong đó.\n\nĐoạn văn: {context}\n\nCâu hỏi: {question}\n\nTrả lời:"},
    {"zh", "请阅读文章，并用文中的几个词回答问题。\n\n文章：{context}\n\n问题：{question}\n\n答案："},
    {NULL, NULL},
};

static const Template xcopa[] = {
    {"en", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\nAnswer with (1) or (2).\nAnswer:"},
    {"ht", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\nReponn ak (1) oswa (2).\nRepons:"},
    {"id", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\nJawablah dengan (1) atau (2).\nJawaban:"},
    {"it", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\nRispondi con (1) o (2).\nRisposta:"},
    {"sw", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\nJibu kwa (1) au (2).\nJibu:"},
    {"ta", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\n(1) அல்லது (2) என்று பதிலளிக்கவும்.\nபதில்:"},
    {"tr", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\n(1) veya (2) ile cevaplayın.\nCevap:"},
    {"vi", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\nHãy trả lời bằng (1) hoặc (2).\nTrả lời:"},
    {"zh", "{premise}\n{question}\n\n(1) {choice1}\n(2) {choice2}\n\n请用 (1) 或 (2) 回答。\n答案："},
    {NULL, NULL},
};

/* XCOPA's {question}, by the two kinds of item. */
static const Template xcopa_cause[] = {
    {"en", "What was the cause of this?"}, {"ht", "Kisa ki te lakòz sa?"},      {"id", "Apa penyebabnya?"},
    {"it", "Qual è stata la causa?"},      {"sw", "Ni nini kilichosababisha hili?"}, {"ta", "இதற்குக் காரணம் என்ன?"},
    {"tr", "Bunun nedeni neydi?"},         {"vi", "Nguyên nhân là gì?"},        {"zh", "原因是什么？"},
    {NULL, NULL},
};
static const Template xcopa_effect[] = {
    {"en", "What happened as a result?"},      {"ht", "Kisa ki te rive kòm rezilta?"}, {"id", "Apa akibatnya?"},
    {"it", "Che cosa è successo di conseguenza?"}, {"sw", "Ni nini kilichotokea kama matokeo?"}, {"ta", "இதன் விளைவாக என்ன நடந்தது?"},
    {"tr", "Bunun sonucunda ne oldu?"},        {"vi", "Kết quả là gì?"},               {"zh", "结果发生了什么？"},
    {NULL, NULL},
};

static const Template mkqa[] = {
    {"ar", "أجب عن السؤال بإيجاز.\n\nالسؤال: {question}\n\nالجواب:"},
    {"de", "Beantworten Sie die Frage kurz.\n\nFrage: {question}\n\nAntwort:"},
    {"en", "Answer the question briefly.\n\nQuestion: {question}\n\nAnswer:"},
    {"es", "Responda brevemente a la pregunta.\n\nPregunta: {question}\n\nRespuesta:"},
    {"fi", "Vastaa kysymykseen lyhyesti.\n\nKysymys: {question}\n\nVastaus:"},
    {"fr", "Répondez brièvement à la question.\n\nQuestion : {question}\n\nRéponse :"},
    {"he", "ענו על השאלה בקצרה.\n\nשאלה: {question}\n\nתשובה:"},
    {"hu", "Válaszoljon röviden a kérdésre.\n\nKérdés: {question}\n\nVálasz:"},
    {"it", "Rispondi brevemente alla domanda.\n\nDomanda: {question}\n\nRisposta:"},
    {"ja", "次の質問に簡潔に答えてください。\n\n質問：{question}\n\n答え："},
    {"ko", "질문에 간단히 답하세요.\n\n질문: {question}\n\n답:"},
    {"nl", "Beantwoord de vraag kort.\n\nVraag: {question}\n\nAntwoord:"},
    {"no", "Svar kort på spørsmålet.\n\nSpørsmål: {question}\n\nSvar:"},
    {"pt", "Responda brevemente à pergunta.\n\nPergunta: {question}\n\nResposta:"},
    {"tr", "Soruyu kısaca cevaplayın.\n\nSoru: {question}\n\nCevap:"},
    {"vi", "Hãy trả lời ngắn gọn câu hỏi.\n\nCâu hỏi: {question}\n\nTrả lời:"},
    {"zh", "请简短地回答问题。\n\n问题：{question}\n\n答案："},
    {NULL, NULL},
};

static const Template opinion[] = {
    {"am", "ከ{country} የመጣ ሰው ለዚህ ጥያቄ እንዴት ይመልሳል? ከአማራጮቹ አንዱን ይምረጡ።\n\n{question}\n\n{options}\n\nመልስ፦"},
    {"ar", "كيف يجيب شخص من {country} عن هذا السؤال؟ اختر أحد الخيارات.\n\n{question}\n\n{options}\n\nالجواب:"},
    {"de", "Wie würde ein Mensch aus {country} diese Frage beantworten? Wählen Sie eine der Möglichkeiten.\n\n{question}\n\n{options}\n\nAntwort:"},
    {"el", "Πώς θα απαντούσε σε αυτή την ερώτηση κάποιος από τη χώρα {country}; Διαλέξτε μία από τις επιλογές.\n\n{question}\n\n{options}\n\nΑπάντηση:"},
    {"en", "How would a person from {country} answer this question? Choose one of the options.\n\n{question}\n\n{options}\n\nAnswer:"},
    {"es", "¿Cómo respondería a esta pregunta una persona de {country}? Elija una de las opciones.\n\n{question}\n\n{options}\n\nRespuesta:"},
    {"fr", "Comment une personne de ce pays ({country}) répondrait-elle à cette question ? Choisissez une des options.\n\n{question}\n\n{options}\n\nRéponse :"},
    {"hi", "{country} का कोई व्यक्ति इस प्रश्न का उत्तर कैसे देगा? विकल्पों में से एक चुनें।\n\n{question}\n\n{options}\n\nउत्तर:"},
    {"id", "Bagaimana seseorang dari {country} akan menjawab pertanyaan ini? Pilihlah salah satu opsi.\n\n{question}\n\n{options}\n\nJawaban:"},
    {"ja", "{country}の人はこの質問にどう答えるでしょうか。選択肢から一つ選んでください。\n\n{question}\n\n{options}\n\n答え："},
    {"pt", "Como uma pessoa deste país ({country}) responderia a esta pergunta? Escolha uma das opções.\n\n{question}\n\n{options}\n\nResposta:"},
    {"ru", "Как на этот вопрос ответил бы житель этой страны ({country})? Выберите один из вариантов.\n\n{question}\n\n{options}\n\nОтвет:"},
    {"sv", "Hur skulle en person från {country} svara på den här frågan? Välj ett av alternativen.\n\n{question}\n\n{options}\n\nSvar:"},
    {"sw", "Mtu kutoka {country} angejibuje swali hili? Chagua moja ya chaguo.\n\n{question}\n\n{options}\n\nJibu:"},
    {"tl", "Paano sasagutin ng isang taong mula sa {country} ang tanong na ito? Pumili ng isa sa mga opsyon.\n\n{question}\n\n{options}\n\nSagot:"},
    {"tr", "Bu ülkeden ({country}) biri bu soruyu nasıl cevaplardı? Seçeneklerden birini seçin.\n\n{question}\n\n{options}\n\nCevap:"},
    {"uk", "Як на це запитання відповів би мешканець цієї країни ({country})? Виберіть один із варіантів.\n\n{question}\n\n{options}\n\nВідповідь:"},
    {"ur", "{country} کا کوئی شخص اس سوال کا جواب کیسے دے گا؟ اختیارات میں سے ایک چنیں۔\n\n{question}\n\n{options}\n\nجواب:"},
    {"vi", "Một người đến từ {country} sẽ trả lời câu hỏi này như thế nào? Hãy chọn một trong các phương án.\n\n{question}\n\n{options}\n\nTrả lời:"},
    {"zh", "来自{country}的人会如何回答这个问题？请选择一个选项。\n\n{question}\n\n{options}\n\n答案："},
    {NULL, NULL},
};

static const Template culture[] = {
    {"ar", "اختر الجواب الصحيح لهذا السؤال عن {country}.\n\n{question}\n\n{options}\n\nالجواب:"},
    {"de", "Wählen Sie die richtige Antwort auf diese Frage (Land: {country}).\n\n{question}\n\n{options}\n\nAntwort:"},
    {"en", "Choose the right answer to this question about {country}.\n\n{question}\n\n{options}\n\nAnswer:"},
    {"es", "Elija la respuesta correcta a esta pregunta sobre {country}.\n\n{question}\n\n{options}\n\nRespuesta:"},
    {"fr", "Choisissez la bonne réponse à cette question (pays : {country}).\n\n{question}\n\n{options}\n\nRéponse :"},
    {"he", "בחרו את התשובה הנכונה לשאלה זו על {country}.\n\n{question}\n\n{options}\n\nתשובה:"},
    {"hi", "{country} के बारे में इस प्रश्न का सही उत्तर चुनें।\n\n{question}\n\n{options}\n\nउत्तर:"},
    {"ja", "{country}についての次の質問に対する正しい答えを選んでください。\n\n{question}\n\n{options}\n\n答え："},
    {"ko", "{country}에 관한 다음 질문의 올바른 답을 고르세요.\n\n{question}\n\n{options}\n\n답:"},
    {"ms", "Pilih jawapan yang betul bagi soalan tentang {country} ini.\n\n{question}\n\n{options}\n\nJawapan:"},
    {"pl", "Wybierz właściwą odpowiedź na to pytanie (kraj: {country}).\n\n{question}\n\n{options}\n\nOdpowiedź:"},
    {"ru", "Выберите правильный ответ на этот вопрос (страна: {country}).\n\n{question}\n\n{options}\n\nОтвет:"},
    {"tl", "Piliin ang tamang sagot sa tanong na ito tungkol sa {country}.\n\n{question}\n\n{options}\n\nSagot:"},
    {"tr", "Bu sorunun doğru cevabını seçin (ülke: {country}).\n\n{question}\n\n{options}\n\nCevap:"},
    {"vi", "Hãy chọn câu trả lời đúng cho câu hỏi này về {country}.\n\n{question}\n\n{options}\n\nTrả lời:"},
    {"zh", "请选择这个关于{country}的问题的正确答案。\n\n{question}\n\n{options}\n\n答案："},
    {NULL, NULL},
};
/* clang-format on */

/* "zh-CN" finds zh's. */
static const char *find(const Template *table, const char *lang) {
  const size_t length = strcspn(lang, "-_");
  for (; table->lang; table++)
    if (strlen(table->lang) == length && memcmp(table->lang, lang, length) == 0) return table->text;
  return NULL;
}

const char *xt_task_template(const xt_task *task, const char *lang) {
  static const Template *const tables[] = {
      [RAW_XNLI] = xnli,   [RAW_XQUAD] = xquad, [RAW_OPINION] = opinion,
      [RAW_XCOPA] = xcopa, [RAW_MKQA] = mkqa,   [RAW_CULTURE] = culture,
  };
  return find(tables[task_entry(task)->raw], lang);
}

const char *template_relation(const char *kind, const char *lang) {
  if (strcmp(kind, "cause") == 0) return find(xcopa_cause, lang);
  if (strcmp(kind, "effect") == 0) return find(xcopa_effect, lang);
  return NULL;
}
