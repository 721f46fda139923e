;;; eglot-test.el --- midfill in Emacs by eglot  -*- lexical-binding: t; -*-

;; `emacs -Q --batch -l CONFIGURATION -l eglot-test.el -f ert-run-tests-batch-and-exit'; CONFIGURATION is what
;; docs/EDITORS.md says.  The language server's resident has a scripted model: its first hole is filled with filled_1.

;;; Code:

(require 'ert)
(require 'cl-lib)
(require 'eglot)

(setq native-comp-enable-subr-trampolines nil) ; `completing-read' is answered by the tests

;; A slow machine is no error.
(setq eglot-connect-timeout 120
      jsonrpc-default-request-timeout 120
      eglot-sync-connect 120
      eglot-events-buffer-config '(:size 0 :format full))

(defun midfill-test-with (text then)
  "Call THEN in a buffer of a project's new Python file with TEXT, point at its `^', managed by eglot."
  (let ((file (expand-file-name "example.py" (getenv "MIDFILL_PROJECT")))
        (point (1+ (string-search "^" text)))
        (coding-system-for-write 'utf-8))
    (write-region (string-replace "^" "" text) nil file nil 'quiet)
    (with-current-buffer (find-file-noselect file)
      (unwind-protect
          (progn
            (call-interactively #'eglot)
            (while (not (midfill-test-is-ready)) (sleep-for 0.1))
            (goto-char point)
            (funcall then))
        (eglot-shutdown (eglot-current-server))
        (set-buffer-modified-p nil)
        (kill-buffer)))))

(defun midfill-test-is-ready ()
  "Whether the model is loaded; completion finds nothing before."
  (plist-get (midfill-test-run "midfill.status") :model))

(defun midfill-test-run (command &rest argument)
  "Run COMMAND of the language server, with the plist ARGUMENT, as its code actions do."
  (eglot-execute (eglot-current-server) (list :command command :arguments (vector (or argument eglot--{})))))

(defun midfill-test-choose (title)
  "Do the code action TITLE, as \\[eglot-code-actions] does it once a person has chosen."
  (let ((last-nonmenu-event t)) ; not by the mouse
  (cl-letf (((symbol-function 'completing-read)
             (lambda (_prompt choices &rest _) (or (car (assoc title choices)) (error "There is no %s in %S" title choices)))))
    (call-interactively #'eglot-code-actions))))

(ert-deftest midfill-fills-the-hole-at-point ()
  (midfill-test-with
   "a = <f^ill>\nb = <fill>\n"
   (lambda ()
     (midfill-test-choose "Fill this hole")
     (should (equal (buffer-string) "a = filled_1\nb = <fill>\n")))))

(ert-deftest midfill-fills-all-holes-in-one-undo-step ()
  (midfill-test-with
   "é𝒳 = <f^ill>  # expect: first\nb = <fill>  # expect: second\n"
   (lambda ()
     (let ((before (buffer-string)))
       (undo-boundary)
       (midfill-test-choose "Fill all 2 holes")
       (should (equal (buffer-string) "é𝒳 = first  # expect: first\nb = second  # expect: second\n"))
       (undo-boundary)
       (undo)
       (should (equal (buffer-string) before))))))

(ert-deftest midfill-fills-the-active-region ()
  (midfill-test-with
   "x = ^old + thing  # expect: new_thing\n"
   (lambda ()
     (transient-mark-mode 1)
     (push-mark (point) t t)
     (search-forward "thing")
     (midfill-test-choose "Fill the selection")
     (should (equal (buffer-string) "x = new_thing  # expect: new_thing\n")))))

(ert-deftest midfill-runs-a-command ()
  (midfill-test-with
   "^a = <fill>\nb = <fill>\n"
   (lambda ()
     (midfill-test-run "midfill.fillAllHoles" :uri (eglot-path-to-uri buffer-file-name))
     (should (equal (buffer-string) "a = filled_1\nb = filled_2\n")))))

(ert-deftest midfill-completes ()
  (midfill-test-with
   "total = ^\n"
   (lambda ()
     (let* ((found (eglot-completion-at-point))
            (table (nth 2 found))
            (candidates (all-completions "" table)))
       (should (member "filled_1" (mapcar #'substring-no-properties candidates)))
       (let ((candidate (cl-find "filled_1" candidates :test #'equal)))
         (delete-region (nth 0 found) (nth 1 found))
         (insert candidate)
         (funcall (plist-get (nthcdr 3 found) :exit-function) candidate 'finished))
       (should (equal (buffer-string) "total = filled_1\n"))))))

;;; eglot-test.el ends here
